#!/bin/sh
# The tests of this folder: the greeting must be spelled right.
if grep -q '"Hello, "' greeter.py; then
    echo "1 passed, 0 failed"
else
    echo "0 passed, 1 failed: greeter.py says Helo"
    exit 1
fi
