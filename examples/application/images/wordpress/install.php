<?php
// Makes the site on first start. Run again, it finds the site and changes nothing.
$_SERVER['HTTP_HOST'] = getenv('WORDPRESS_HOST') ?: 'wordpress';
define('WP_INSTALLING', true);

// The database may still be starting: wait for it rather than fail the pod.
$deadline = time() + 120;
mysqli_report(MYSQLI_REPORT_OFF);
while (!@mysqli_connect(getenv('WORDPRESS_DB_HOST'), getenv('WORDPRESS_DB_USER'), getenv('WORDPRESS_DB_PASSWORD'))) {
    if (time() > $deadline) {
        fwrite(STDERR, 'The database does not answer: ' . mysqli_connect_error() . "\n");
        exit(1);
    }
    sleep(1);
}

require '/usr/share/wordpress/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
if (is_blog_installed()) {
    echo "The site is there.\n";
    exit(0);
}
wp_install(
    getenv('WORDPRESS_TITLE') ?: 'Minicloud',
    getenv('WORDPRESS_ADMIN_USER'),
    'admin@example.invalid',
    true,
    '',
    getenv('WORDPRESS_ADMIN_PASSWORD')
);
update_option('permalink_structure', '');
echo "The site is made.\n";
