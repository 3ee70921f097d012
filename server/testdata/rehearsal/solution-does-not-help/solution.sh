#!/bin/bash
touch /root/mad
