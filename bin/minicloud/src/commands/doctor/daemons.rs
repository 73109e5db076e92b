//! Debian's daemons that the server runs: whether they are there, and whether somebody else has their ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use minicloud_alertmanager::{choice, managed as alertmanager};
use minicloud_probes::managed as probes;
use minicloud_prometheus::engine::Choice;
use minicloud_prometheus::managed as prometheus;

use super::Finding;
use crate::settings::Settings;

/// One daemon.
struct Looked {
    check: &'static str,
    program: &'static str,
    package: &'static str,
    /// What one goes without.
    without: &'static str,
    dir: PathBuf,
    port: u16,
    /// The setting of the port.
    setting: &'static str,
}

/// What is found about those that the settings ask for.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    if settings.prometheus != Choice::Managed {
        return Vec::new();
    }
    let run_dir = &settings.run_dir;
    let mut looked = vec![
        Looked {
            check: "Prometheus",
            program: prometheus::PROGRAM,
            package: "prometheus",
            without: "nothing is remembered of what is measured (another is named with --prometheus)",
            dir: prometheus::dir(run_dir),
            port: settings.prometheus_port,
            setting: "--prometheus-port",
        },
        Looked {
            check: "blackbox exporter",
            program: probes::PROGRAM,
            package: probes::PACKAGE,
            without: "Probes are not asked",
            dir: probes::dir(run_dir),
            port: settings.blackbox_exporter_port,
            setting: "--blackbox-exporter-port",
        },
    ];
    if matches!(settings.alertmanager, choice::Choice::Managed(_)) {
        looked.push(Looked {
            check: "Alertmanager",
            program: alertmanager::PROGRAM,
            package: alertmanager::PACKAGE,
            without: "nobody is told of alerts",
            dir: alertmanager::dir(run_dir),
            port: settings.alertmanager_port,
            setting: "--alertmanager-port",
        });
    }
    looked.iter().map(look).collect()
}

fn look(daemon: &Looked) -> Finding {
    let Looked {
        check,
        package,
        without,
        port,
        setting,
        ..
    } = daemon;
    if !Path::new(daemon.program).is_file() {
        return Finding::warning(
            check,
            "missing",
            format!("without it {without}: apt-get install {package}"),
        );
    }
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err();
    match (minicloud_daemon::runs(&daemon.dir), taken) {
        (true, _) => Finding::ok(check, format!("runs on port {port}")),
        (false, true) => Finding::warning(
            check,
            format!("port {port} is taken by another program"),
            format!(
                "if that is the one that Debian starts: `systemctl disable --now {package}`; else give another port with {setting}"
            ),
        ),
        (false, false) => Finding::ok(check, "there"),
    }
}
