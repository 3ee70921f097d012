#!/bin/bash
for n in $(seq 60); do echo "Line $n: looked for /a/path/that/is/so/long/that/it/cannot/be/broken/anywhere/sensible/$(printf 'x%.0s' $(seq 120))"; done
exit 1
