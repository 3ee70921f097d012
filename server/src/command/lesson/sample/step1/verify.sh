#!/bin/bash
# Runs as root in /root when the learner presses Check: exit code 0 passes, and what it prints is shown.
if [ -f /root/harbour/boat ]; then
  echo "There is a file /root/harbour/boat."
else
  echo "Looked for a file /root/harbour/boat, and found: $(ls -A /root/harbour | paste -sd ' ')"
  exit 1
fi
