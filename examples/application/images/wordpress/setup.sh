# Apache as an ordinary user: a high port, and folders that it may write.
echo 'Listen 8080' > /etc/apache2/ports.conf
echo 'ServerName localhost' > /etc/apache2/conf-available/server-name.conf
a2enconf -q server-name
a2enmod -q rewrite
a2disconf -q other-vhosts-access-log
sed -i 's#^ErrorLog .*#ErrorLog "|/bin/cat"#' /etc/apache2/apache2.conf
install -d -o www-data -g www-data /var/run/apache2 /var/lock/apache2 /var/log/apache2
install -d -o www-data -g www-data /var/lib/wordpress/wp-content/uploads
# The configuration comes from the ConfigMap that the pod mounts.
rm -rf /etc/wordpress
install -d /etc/wordpress
