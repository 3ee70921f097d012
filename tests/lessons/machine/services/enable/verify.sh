systemctl is-active --quiet lantern && systemctl is-enabled --quiet lantern && [ "$(systemctl get-default)" = rescue.target ] && exit
echo "lantern is $(systemctl is-active lantern) and $(systemctl is-enabled lantern); the target is $(systemctl get-default)"
exit 1
