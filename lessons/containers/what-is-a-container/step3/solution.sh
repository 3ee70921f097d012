#!/bin/bash
mkdir -p /root/answers
pgrep -xf 'appserver 2000' | head -n 1 > /root/answers/number
