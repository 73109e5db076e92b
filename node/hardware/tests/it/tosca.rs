//! The TOSCA service template, read by the parser that others read it with: PyPI's `tosca-parser`, as `cargo xtask test`
//! installs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;
use minicloud_hardware::characterization::tosca;
use minicloud_hardware::{DeviceStatus, Inputs, Region, Root, read};

use crate::tree::{MACHINES, plant};

/// Parses the template, validates it, and prints what it found of each node.
const PROGRAM: &str = r#"
import sys
from toscaparser.tosca_template import ToscaTemplate
template = ToscaTemplate(sys.argv[1])
for node in template.nodetemplates:
    properties = {p.name: p.value for p in node.get_properties_objects()}
    host = node.get_capability("host")
    os = node.get_capability("os")
    graphics = node.get_capability("graphics")
    print(node.name, node.type, node.type_definition.parent_type.type, properties.get("uuid"),
          host.get_property_value("num_cpus"), host.get_property_value("mem_size"), os.get_property_value("architecture"),
          os.get_property_value("version"), graphics.get_property_value("count"), len(properties.get("software", [])), sep="|")
"#;

/// A Python with tosca-parser, as `cargo xtask` made it.
fn python() -> PathBuf {
    std::env::var_os("MINICLOUD_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

fn run(program: &str, template: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("template.yaml");
    std::fs::write(path, template).unwrap();
    let output = Command::new(python())
        .args(["-W", "ignore", "-c", program])
        .arg(path)
        .current_dir(dir.path())
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", python().display()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !said.contains("No module named"),
        "run this test by `cargo xtask test`, which installs what it needs: {said}"
    );
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(said)
    }
}

fn machines() -> Vec<DeviceStatus> {
    let read = |name: &&str| {
        let dir = plant(name);
        let inputs = Inputs {
            name: Some((*name).to_owned()),
            addresses: vec!["192.168.1.5".into()],
            roles: vec!["control-plane".into()],
            region: Some(Region {
                city: "Athens".into(),
                ..Region::default()
            }),
            ..Inputs::default()
        };
        read(&Root::new(dir.path()), &inputs)
    };
    MACHINES.iter().map(read).collect()
}

#[test]
fn the_template_is_as_written_down() {
    let template = tosca(&machines()[2..4]);
    expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tosca.yaml")].assert_eq(&template);
}

#[test]
fn tosca_parser_accepts_every_machine() {
    let machines = machines();
    let told = run(PROGRAM, &tosca(&machines)).unwrap_or_else(|said| panic!("{said}"));
    let told: Vec<Vec<&str>> = told.lines().map(|line| line.split('|').collect()).collect();
    assert_eq!(told.len(), machines.len());
    for (told, machine) in told.iter().zip(&machines) {
        assert_eq!(
            told[..3],
            [
                machine.name.as_str(),
                "minicloud.nodes.Device",
                "tosca.nodes.Compute"
            ]
        );
        assert_eq!(told[3], machine.uuid.as_deref().unwrap_or("None"));
        assert_eq!(told[4], machine.cpu.threads.unwrap().to_string());
        assert_eq!(told[5], format!("{} B", machine.memory_bytes.unwrap()));
        assert_eq!(told[6], machine.cpu.architecture.as_deref().unwrap());
        let version = machine.os.version.as_deref().unwrap();
        assert!(told[7].starts_with(version), "{told:?}");
        assert_eq!(told[8], machine.gpus.len().to_string());
        assert_eq!(told[9], machine.software.len().to_string());
    }
}

#[test]
fn tosca_parser_accepts_little_and_this_machine() {
    let nothing = DeviceStatus {
        name: "unknown".into(),
        ..DeviceStatus::default()
    };
    let here = read(&Root::new("/"), &Inputs::default());
    let told = run(PROGRAM, &tosca([&nothing, &here])).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(told.lines().count(), 2, "{told}");
    run(PROGRAM, &tosca([])).unwrap_or_else(|said| panic!("{said}"));
}

/// Without this, a parser that looks at nothing would pass.
#[test]
fn tosca_parser_refuses_what_is_wrong() {
    let good = tosca(&machines()[2..3]);
    for (right, wrong) in [
        ("kvm: \"untested\"", "kvm: \"perhaps\""),
        ("video_memory: \"8589934592 B\"", "video_memory: \"much\""),
        ("mem_size: ", "mem_sizes: "),
        ("fstype: \"vfat\"", "fstipe: \"vfat\""),
        ("\"minicloud.nodes.Device\"", "\"minicloud.nodes.Devices\""),
    ] {
        assert!(good.contains(right), "{right}");
        assert!(
            run(PROGRAM, &good.replace(right, wrong)).is_err(),
            "{wrong}"
        );
    }
}

/// Texts that YAML would take for something else, or that its readers refuse, come back as they were.
#[test]
fn texts_stay_texts() {
    let texts = [
        "yes",
        "~",
        "0x1F",
        "1e3",
        "12:30:45",
        "2020-01-01",
        "- a",
        "a: b",
        "#",
        "",
        "\"\\'",
        "{[",
        "&x *y",
        "é漢\u{1f600}",
        "\t\n\r\0\u{7f}\u{85}\u{a0}\u{2028}\u{feff}\u{ffff}",
    ];
    let status = DeviceStatus {
        name: "no".into(),
        roles: texts.map(str::to_owned).to_vec(),
        ..DeviceStatus::default()
    };
    let program = "
import json, sys, yaml
node = yaml.safe_load(open(sys.argv[1], encoding='utf-8'))['topology_template']['node_templates']['no']
print(json.dumps(node['properties']['roles']))";
    let told = run(program, &tosca([&status])).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(serde_json::from_str::<Vec<String>>(&told).unwrap(), texts);
}
