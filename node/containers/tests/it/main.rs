//! Pods on a real containerd. Needs root, containerd, runc, CNI plugins, iproute2, util-linux and busybox-static.
//!
//! Each test has a containerd of its own: folders in a temporary folder, a network namespace `mct-…`, a cgroup of the same name.
//! At its end it asserts that nothing of that is left; when it fails, what is left is removed all the same.

mod figures;
mod lifecycle;
mod limits;
mod registry;
mod site;
mod survival;
