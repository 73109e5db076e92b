use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;

use super::atomic;
use super::content::File;
use super::*;
use crate::objects::Data;

fn objects() -> Resolved {
    let data = |pairs: &[(&str, &str)]| {
        let text = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
            .collect();
        Some(Arc::new(Data {
            text,
            ..Data::default()
        }))
    };
    let mut objects = Resolved::default();
    objects.insert(false, "cm", data(&[("a", "1"), ("b", "2")]));
    objects.insert(true, "sec", data(&[("password", "x")]));
    objects
}

/// The files of a volume as `path mode owner content` lines, or the error.
fn check(volume: serde_json::Value, spec: serde_json::Value, expect: Expect) {
    let mut spec = spec;
    spec["volumes"] = json!([volume]);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}}, "spec": spec,
    }))
    .expect("a pod");
    let tokens = [(("v".to_owned(), "token".to_owned()), b"jwt".to_vec())].into();
    let inputs = Inputs {
        objects: &objects(),
        claims: &BTreeMap::new(),
        tokens: &tokens,
        allocatable: &BTreeMap::new(),
    };
    let volume = &pod::spec(&pod).volumes.as_ref().expect("volumes")[0];
    let text = match content::files(&pod, volume, &inputs) {
        Ok(files) => files
            .iter()
            .map(|f| {
                let owner = f.owner.map(|o| format!(" {o}")).unwrap_or_default();
                format!(
                    "{} {:o}{owner} {}\n",
                    f.path.display(),
                    f.mode,
                    String::from_utf8_lossy(&f.data)
                )
            })
            .collect(),
        Err(error) => format!("error: {error}\n"),
    };
    expect.assert_eq(&text);
}

#[test]
fn content_of_every_kind() {
    let none = || json!({"containers": [{"name": "c"}]});
    check(
        json!({"name": "v", "configMap": {"name": "cm"}}),
        none(),
        expect![["a 644 1\nb 644 2\n"]],
    );
    check(
        json!({"name": "v", "configMap": {"name": "cm", "defaultMode": 256, "items": [{"key": "b", "path": "d/e"}, {"key": "a", "path": "f", "mode": 511}]}}),
        none(),
        expect![["d/e 400 2\nf 777 1\n"]],
    );
    check(
        json!({"name": "v", "secret": {"secretName": "sec"}}),
        none(),
        expect![["password 644 x\n"]],
    );
    check(
        json!({"name": "v", "secret": {"secretName": "no"}}),
        none(),
        expect![["error: secret \"no\" not found\n"]],
    );
    check(
        json!({"name": "v", "secret": {"secretName": "no", "optional": true}}),
        none(),
        expect![[""]],
    );
    check(
        json!({"name": "v", "configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}),
        none(),
        expect![["error: configmap \"cm\" references non-existent key: z\n"]],
    );
    check(
        json!({"name": "v", "configMap": {"name": "cm", "items": [{"key": "a", "path": "../../etc/passwd"}]}}),
        none(),
        expect![["error: invalid path \"../../etc/passwd\" in a volume\n"]],
    );
    check(
        json!({"name": "v", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "requests.cpu"}}]}}),
        none(),
        expect![["labels 644 app=\"x\"\ncpu 644 0\n"]],
    );
    let projected = || {
        json!({"name": "v", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            {"secret": {"name": "sec"}}]}})
    };
    check(
        projected(),
        none(),
        expect![["token 644 jwt\nca.crt 644 1\nnamespace 644 n\npassword 644 x\n"]],
    );
    let as_user = json!({"containers": [{"name": "c"}], "securityContext": {"runAsUser": 1000}});
    check(
        projected(),
        as_user,
        expect![["token 600 1000 jwt\nca.crt 644 1\nnamespace 644 n\npassword 644 x\n"]],
    );
}

fn file(path: &str, data: &str) -> File {
    File {
        path: path.into(),
        data: data.into(),
        mode: 0o644,
        owner: None,
    }
}

/// What a reader sees, and how many stamped directories there are.
fn seen(dir: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("lists")
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    let shown = names.iter().filter(|n| !n.starts_with("..")).map(|n| {
        let path = dir.join(n);
        if path.is_dir() {
            format!("{n}/")
        } else {
            format!("{n}={}", fs::read_to_string(path).expect("reads"))
        }
    });
    let stamped = names.iter().filter(|n| n.starts_with("..2")).count();
    format!("{} [{stamped}]", shown.collect::<Vec<_>>().join(" "))
}

#[test]
fn updates_are_atomic_and_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |files: &[File]| atomic::write(dir.path(), files, None).expect("writes");
    write(&[file("a", "1"), file("d/e", "2")]);
    assert_eq!(seen(dir.path()), "a=1 d/ [1]");
    let link = || fs::read_link(dir.path().join("..data")).expect("a link");
    let before = link();
    write(&[file("d/e", "2"), file("a", "1")]);
    assert_eq!(link(), before, "nothing new is not written");
    write(&[file("a", "3"), file("b", "4")]);
    assert_eq!(seen(dir.path()), "a=3 b=4 [1]");
    assert_ne!(link(), before);
    // An update that was cut off half-way.
    fs::create_dir(dir.path().join("..2020_01_01_00_00_00.1")).expect("makes");
    symlink("nowhere", dir.path().join("..data_tmp")).expect("links");
    write(&[file("a", "5")]);
    assert_eq!(seen(dir.path()), "a=5 [1]");
    write(&[]);
    assert_eq!(seen(dir.path()), " [1]");
}

#[test]
fn subpaths_do_not_lead_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("volume");
    fs::create_dir_all(root.join("in/side")).expect("makes");
    fs::write(dir.path().join("secret"), "x").expect("writes");
    symlink("../secret", root.join("out")).expect("links");
    symlink(dir.path(), root.join("abs")).expect("links");
    symlink("in", root.join("link")).expect("links");
    let check = |sub: &str, create, expect: Result<(), &str>| {
        let found = super::subpath::open(&root, sub, create).map(drop);
        match (found, expect) {
            (Ok(()), Ok(())) => {}
            (Err(e), Err(part)) if e.contains(part) => {}
            (found, expect) => panic!("{sub}: {found:?}, not {expect:?}"),
        }
    };
    check("in/side", false, Ok(()));
    check("link/side", false, Ok(()));
    check("", false, Ok(()));
    check("out", true, Err("leads out"));
    check("abs/x", true, Err("leads out"));
    check("link/../../secret", true, Err("without '..'"));
    check("/etc", true, Err("must be relative"));
    check("new/deep/er", false, Err("No such file"));
    check("new/deep/er", true, Ok(()));
    assert!(root.join("new/deep/er").is_dir());
    check("out/new", true, Err("leads out"));
    assert!(!dir.path().join("new").exists());
}

#[test]
fn host_paths_are_what_their_type_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "").expect("writes");
    let check = |name: &str, kind, right| {
        assert_eq!(
            super::hostpath::check(&path(name), kind).is_ok(),
            right,
            "{name} {kind}"
        )
    };
    check("none", "Directory", false);
    check("none", "File", false);
    check("none", "Socket", false);
    check("d1", "DirectoryOrCreate", true);
    check("d1", "Directory", true);
    check("f1", "FileOrCreate", true);
    check("f1", "File", true);
    check("file", "Directory", false);
    check("file", "DirectoryOrCreate", false);
    check("d1", "FileOrCreate", false);
    check("file", "CharDevice", false);
    check("file", "Other", false);
    check("any/deep", "", true);
    assert!(super::hostpath::check(Path::new("/dev/null"), "CharDevice").is_ok());
}

#[test]
fn groups_own_volumes() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let outside = dir.path().join("outside");
    let root = dir.path().join("v");
    fs::create_dir_all(root.join("d")).expect("makes");
    fs::write(root.join("d/f"), "").expect("writes");
    fs::write(&outside, "").expect("writes");
    symlink(&outside, root.join("link")).expect("links");
    let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [], "securityContext": {"fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"}}}))
        .expect("a pod");
    super::ownership::apply(&pod, &root, Some(2000)).expect("applies");
    let check = |path: &Path, group, mode: u32| {
        let meta = fs::metadata(path).expect("is there");
        assert_eq!(
            (meta.gid(), meta.mode() & 0o2770),
            (group, mode),
            "{}",
            path.display()
        );
    };
    check(&root, 2000, 0o2770);
    check(&root.join("d"), 2000, 0o2770);
    assert_eq!(
        fs::metadata(root.join("d/f")).expect("is there").gid(),
        2000
    );
    assert_eq!(
        fs::metadata(&outside).expect("is there").gid(),
        0,
        "links are not followed"
    );
    let path = root.join("d/late");
    fs::write(&path, "").expect("writes");
    super::ownership::apply(&pod, &root, Some(2000)).expect("applies");
    let late = fs::metadata(&path).expect("is there");
    assert_eq!(
        late.mode() & 0o060,
        0o040,
        "the root's look is enough with OnRootMismatch"
    );
}

#[test]
fn a_volume_that_cannot_be_made_holds_back_no_other() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"containers": [{"name": "c"}], "volumes": [
            {"name": "nfs", "nfs": {"server": "s", "path": "/"}},
            {"name": "gone", "configMap": {"name": "cm", "items": [{"key": "gone", "path": "gone"}]}},
            {"name": "good", "configMap": {"name": "cm"}},
        ]},
    }))
    .expect("a pod");
    let temp = tempfile::tempdir().expect("a folder");
    let dirs = Dirs {
        data: temp.path().join("data"),
        run: temp.path().join("run"),
    };
    let inputs = Inputs {
        objects: &objects(),
        claims: &BTreeMap::new(),
        tokens: &BTreeMap::new(),
        allocatable: &BTreeMap::new(),
    };
    expect![["MountVolume.SetUp failed for volume \"nfs\" : volumes of the kind nfs are not supported by this node; supported are emptyDir, hostPath, configMap, secret, downwardAPI, projected and persistentVolumeClaim"]]
        .assert_eq(&mount_all(&pod, &dirs, &inputs).expect_err("it was mounted"));
    let good = dirs.in_memory("u", "configmap", "good").join("a");
    assert_eq!(fs::read(good).ok(), Some(b"1".to_vec()));
}
