echo "* * * * * date >> /root/ticks" | crontab -
