sleep 4
echo 'It took four seconds.'
