#!/bin/bash
touch /root/made
