#!/bin/sh
# `start-wordpress install` makes the site in an empty database; without an argument the web server runs.
set -eu
if [ "${1:-}" = install ]; then
    exec php /usr/local/share/minicloud/install.php
fi
# Debian's file tests variables that may be unset.
set +u
. /etc/apache2/envvars
exec apache2 -D FOREGROUND
