//! The bad days of a node: its engine or its cluster DNS dies or hangs, the server is ended in the middle of its work, the
//! machine loses its power, the disk is full. Containers run on where they can and come back where they cannot; nothing is left behind.

mod boot;
mod disk;
mod engine;
mod logs;
mod machine;
mod names;
mod server;

use minicloud_tests::Cluster;
use minicloud_tests::images::busybox;
use minicloud_tests::walk::timed;

fn start() -> Cluster {
    let cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    cluster
}

#[test]
fn engine_and_names_come_back_and_containers_do_not_notice() {
    let mut c = start();
    c.apply(engine::PODS);
    engine::ready(&c);
    timed("containerd dies", || engine::dies(&c));
    timed("cluster DNS dies", || names::dies(&c));
    timed("containerd hangs", || engine::hangs(&c));
    timed("cluster DNS hangs", || names::hangs(&c));
    timed("cluster DNS is replaced", || names::is_replaced(&mut c));
    machine::clean(&c);
}

#[test]
fn logs_are_rotated_under_who_reads_them() {
    let c = start();
    timed("rotation", || logs::rotate(&c));
    timed("earlier runs", || logs::of_earlier_runs(&c));
}

#[test]
fn a_server_that_ends_in_the_middle_of_its_work_goes_on_with_it() {
    let mut c = start();
    for signal in ["TERM", "KILL"] {
        timed(&format!("{signal} during starts"), || {
            server::ends_during_starts(&mut c, signal);
        });
        timed(&format!("{signal} during deletions"), || {
            server::ends_during_deletions(&mut c, signal);
        });
    }
    timed("power cut", || boot::pods_come_back_with_their_data(&mut c));
    timed("power cut, no network and no API", || {
        boot::pods_come_back_by_themselves(&mut c);
    });
    timed("reset", || server::reset_is_quick(&mut c));
}

#[test]
fn a_full_disk_is_told_and_survived() {
    disk::is_full_and_then_not();
}
