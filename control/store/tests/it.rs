//! The store as its users see it: on real files, with crashes, full disks and damaged files.

mod it {
    mod basics;
    mod full_disk;
    mod kill;
    mod load;
    mod model;
    mod recovery;
    mod support;
    mod volatile;
    mod watches;
}
