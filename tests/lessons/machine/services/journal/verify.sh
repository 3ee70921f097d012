grep -qx burning /root/lantern.txt && grep -q "out of oil" /root/errors.txt && ! grep -q "lamp is lit" /root/errors.txt && exit
echo "Looked for burning in lantern.txt and only for out of oil in errors.txt."
exit 1
