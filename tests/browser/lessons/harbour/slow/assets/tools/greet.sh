#!/bin/bash
echo good-morning
