//! What is told, whole.

use expect_test::expect_file;

use crate::fixture::{Machine, Version};

/// Sorted, for folders are listed in no order.
async fn check(version: Version, file: &str) {
    let machine = Machine::new(version);
    let text = machine.scrape().await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    expect_file![file].assert_eq(&(lines.join("\n") + "\n"));
}

#[tokio::test]
async fn cgroup_v1_with_pressure_from_the_v2_hierarchy_beside_it() {
    check(Version::Hybrid, "hybrid.txt").await;
}

#[tokio::test]
async fn cgroup_v2() {
    check(Version::V2, "v2.txt").await;
}
