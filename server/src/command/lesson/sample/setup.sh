#!/bin/bash
# Runs as root in /root before the learner needs it. What it prints is shown only if it fails.
mkdir -p /root/harbour
