#!/bin/sh
# Makes the database on first start, then runs the server. A start that was cut off leaves nothing that a later one
# would take for a database: the files are made beside their place and moved in when they are whole.
set -eu
data=/var/lib/mysql/data
draft=/var/lib/mysql/draft

: "${MARIADB_DATABASE:?set MARIADB_DATABASE to the name of the database}"
: "${MARIADB_USER:?set MARIADB_USER to the name of its user}"
: "${MARIADB_PASSWORD:?set MARIADB_PASSWORD to the password of its user}"

if [ ! -d "$data" ]; then
    rm -rf "$draft"
    mariadb-install-db --no-defaults --datadir="$draft" --skip-test-db --auth-root-authentication-method=socket
    sync -f "$draft"
    mv "$draft" "$data"
fi

# Passwords are quoted for SQL and read from a file, never from the command line.
quoted=$(printf %s "$MARIADB_PASSWORD" | sed "s/[\\\\']/\\\\&/g")
umask 077
cat > /run/mysqld/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\` CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'%';
ALTER USER '$MARIADB_USER'@'%' IDENTIFIED BY '$quoted';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
SQL

exec mariadbd --datadir="$data" --bind-address=0.0.0.0 --port=3306 --skip-name-resolve \
    --init-file=/run/mysqld/init.sql --innodb-buffer-pool-size=64M --performance-schema=OFF
