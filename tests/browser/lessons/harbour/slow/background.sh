greet.sh > /srv/greeting || exit 9
sleep 6
touch /srv/ready
