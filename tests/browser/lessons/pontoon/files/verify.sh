grep -q "^const port = 8080;$" /opt/app/app.js && grep -q listening /opt/app/app.js || { echo "app.js is not whole yet."; exit 1; }
