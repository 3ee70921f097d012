#!/bin/bash -eu
true
echo done
