#!/bin/bash
export BERTH=seven
echo "berth $BERTH"
