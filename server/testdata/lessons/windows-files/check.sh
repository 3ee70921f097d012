#!/bin/bash
test -f x
