#!/bin/bash
# Where the lesson's answers are written.
mkdir -p /root/answers
