//! containerd's configuration file. Pure, but for [`HostTraits::detect`].

use serde::Serialize;
use toml::{Table, Value};

use crate::config::Containerd;
use crate::images::pause;

/// What this machine can do, as far as containerd must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTraits {
    /// Whether AppArmor profiles can be loaded.
    pub apparmor: bool,
    /// Whether a process may be protected more from the out-of-memory killer than containerd is (`CAP_SYS_RESOURCE`). Without it
    /// the start of every sandbox fails, unless containerd is told not to try.
    pub oom_score_adj: bool,
}

impl HostTraits {
    /// Asks the kernel.
    pub fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        HostTraits {
            apparmor: read("/sys/module/apparmor/parameters/enabled").starts_with('Y')
                && ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"]
                    .iter()
                    .any(|p| std::path::Path::new(p).exists()),
            oom_score_adj: has_sys_resource(&read("/proc/self/status")),
        }
    }
}

fn has_sys_resource(status: &str) -> bool {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set & CAP_SYS_RESOURCE != 0)
}

/// Plugins that cost memory, time at start, or work while idle, and do nothing here.
const DISABLED: &[&str] = &[
    // Other snapshotters.
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.zfs",
    // Looks at every container each 10 s for a label that nobody sets.
    "io.containerd.internal.v1.restart",
    "io.containerd.tracing.processor.v1.otlp",
];

/// The configuration file's text.
pub fn settings(config: &Containerd, host: HostTraits) -> Result<String, toml::ser::Error> {
    let path = |path: &std::path::Path| Value::from(path.to_string_lossy().into_owned());
    let mut registry = Table::new();
    if let Some(dir) = &config.registry_config_dir {
        registry.insert("config_path".into(), path(dir));
    }
    let runc = table([
        ("runtime_type", "io.containerd.runc.v2".into()),
        // cgroupfs: works with and without systemd, on v1 and v2.
        (
            "options",
            table([
                ("SystemdCgroup", false.into()),
                ("Root", path(&config.state.join("runc"))),
            ]),
        ),
    ]);
    let cri = table([
        ("sandbox_image", pause::IMAGE.into()),
        ("disable_apparmor", (!host.apparmor).into()),
        ("restrict_oom_score_adj", (!host.oom_score_adj).into()),
        ("disable_tcp_service", true.into()),
        ("stream_server_address", "127.0.0.1".into()),
        ("stream_server_port", "0".into()),
        // Under our own folder they cannot be shadowed by, nor be mistaken for, those of `ip netns`.
        ("netns_mounts_under_state_dir", true.into()),
        // How often writable layers are measured, in seconds: each time reads every layer's folders.
        ("stats_collect_period", 60.into()),
        // Pods may ping and may listen below 1024 without rights, as is usual elsewhere.
        ("enable_unprivileged_icmp", true.into()),
        ("enable_unprivileged_ports", true.into()),
        (
            "cni",
            table([
                ("bin_dir", path(&config.cni_bin_dir)),
                ("conf_dir", path(&config.cni_conf_dir)),
            ]),
        ),
        (
            "containerd",
            table([
                ("snapshotter", "overlayfs".into()),
                ("default_runtime_name", "runc".into()),
                ("runtimes", table([("runc", runc)])),
            ]),
        ),
        ("registry", registry.into()),
    ]);
    let plugins = table([
        ("io.containerd.grpc.v1.cri", cri),
        (
            "io.containerd.internal.v1.opt",
            table([("path", path(&config.root.join("opt")))]),
        ),
        (
            "io.containerd.monitor.v1.cgroups",
            table([("no_prometheus", true.into())]),
        ),
    ]);
    let file = File {
        version: 2,
        root: config.root.to_string_lossy().into_owned(),
        state: config.state.join("run").to_string_lossy().into_owned(),
        disabled_plugins: DISABLED.to_vec(),
        // Where the machine runs out of memory, the engine is not what should go. Its shims get one more.
        oom_score: if host.oom_score_adj { -999 } else { 0 },
        grpc: table([("address", path(&config.socket()))]),
        debug: table([("level", "warn".into())]),
        plugins,
    };
    toml::to_string(&file)
}

#[derive(Serialize)]
struct File {
    version: i64,
    root: String,
    state: String,
    disabled_plugins: Vec<&'static str>,
    oom_score: i64,
    grpc: Value,
    debug: Value,
    plugins: Value,
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn says_what_this_host_needs() {
        let mut config = Containerd::new(Path::new("/d"), Path::new("/r"), Path::new("/d/cni"));
        config.registry_config_dir = Some("/d/registries \"x\"".into());
        let text = settings(
            &config,
            HostTraits {
                apparmor: false,
                oom_score_adj: false,
            },
        )
        .unwrap();
        expect_test::expect_file!["../../tests/containerd.toml"].assert_eq(&text);
        let back: Table = toml::from_str(&text).unwrap();
        let cri = &back["plugins"]["io.containerd.grpc.v1.cri"];
        assert_eq!(
            cri["registry"]["config_path"].as_str(),
            Some("/d/registries \"x\"")
        );
    }

    #[test]
    fn a_capable_host_is_not_restricted() {
        let config = Containerd::new(Path::new("/d"), Path::new("/r"), Path::new("/d/cni"));
        let text = settings(
            &config,
            HostTraits {
                apparmor: true,
                oom_score_adj: true,
            },
        )
        .unwrap();
        assert!(text.contains("disable_apparmor = false"), "{text}");
        assert!(text.contains("restrict_oom_score_adj = false"), "{text}");
    }

    #[test]
    fn the_capability_is_read_from_its_bit() {
        for (text, expect) in [
            ("CapEff:\t000001ffffffffff\n", true),
            ("CapEff:\t000001fffeffffff\n", false),
            ("CapEff:\t0000000001000000\n", true),
            ("CapEff:\tzz\n", false),
            ("", false),
        ] {
            assert_eq!(has_sys_resource(text), expect, "{text}");
        }
    }
}
