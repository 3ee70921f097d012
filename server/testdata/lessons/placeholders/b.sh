ssh [[HOST2_IP]] true
