#!/bin/bash
echo "<done>"
