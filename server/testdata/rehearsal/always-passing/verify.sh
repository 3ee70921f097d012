#!/bin/bash
echo "All is well."
