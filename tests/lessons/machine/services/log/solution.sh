logger -t lantern "the lamp is lit"
