systemctl is-active --quiet lantern && ! systemctl is-enabled --quiet lantern && exit
echo "lantern is $(systemctl is-active lantern 2>&1) and $(systemctl is-enabled lantern 2>&1)"
exit 1
