echo waiting; sleep 600
