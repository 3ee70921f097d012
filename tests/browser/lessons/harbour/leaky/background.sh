echo "pumping"
echo "the bilge is full" >&2
exit 4
