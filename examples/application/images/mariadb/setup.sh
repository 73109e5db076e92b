# A fixed user id, so that a volume's files keep their owner whatever order packages are installed in.
groupmod -g 999 mysql
usermod -u 999 -g 999 mysql
rm -rf /var/lib/mysql
install -d -o mysql -g mysql -m 750 /var/lib/mysql
install -d -o mysql -g mysql -m 755 /run/mysqld
# The container's log is where messages go.
rm -f /etc/mysql/mariadb.conf.d/50-mysqld_safe.cnf
