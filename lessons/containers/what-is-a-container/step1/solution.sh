#!/bin/bash
pkill -xf 'sleep 1000'
setsid sleep 1000 < /dev/null > /dev/null 2>&1 &
