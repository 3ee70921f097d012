#!/bin/bash
echo "cannot make it" >&2
exit 3
