//! The CustomResourceDefinition of Device. What a Device says is [`minicloud_hardware::DeviceStatus`]; a test holds both together.

use serde_json::{Map, Value, json};

use crate::GROUP;

/// The definition.
pub fn definition() -> Value {
    let column = |name: &str, kind: &str, path: &str, priority: u8| json!({ "name": name, "type": kind, "jsonPath": path, "priority": priority });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("devices.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "plural": "devices", "singular": "device", "kind": "Device", "listKind": "DeviceList",
                "shortNames": ["dev"],
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Arch", "string", ".status.cpu.architecture", 0),
                    column("CPU", "string", ".status.summary.cpu", 0),
                    column("Memory", "string", ".status.summary.memory", 0),
                    column("GPU", "string", ".status.summary.gpu", 0),
                    column("Runs", "string", ".status.summary.runs", 0),
                    column("Model", "string", ".status.model", 1),
                    column("OS", "string", ".status.summary.os", 1),
                    column("Kernel", "string", ".status.kernel.release", 1),
                    column("Age", "date", ".metadata.creationTimestamp", 0),
                ],
                "schema": { "openAPIV3Schema": schema() },
            }],
        },
    })
}

fn of(kind: &str, about: &str) -> Value {
    json!({ "type": kind, "description": about })
}

fn text(about: &str) -> Value {
    of("string", about)
}

fn whole(about: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": about })
}

fn flag(about: &str) -> Value {
    of("boolean", about)
}

fn object(about: &str, properties: Vec<(&str, Value)>) -> Value {
    let properties: Map<String, Value> = properties
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({ "type": "object", "description": about, "properties": properties })
}

fn list(about: &str, items: Value) -> Value {
    json!({ "type": "array", "description": about, "items": items })
}

fn schema() -> Value {
    object(
        "The hardware of a node and what can run on it, as the node found it. Monitoring tells how it is doing.",
        vec![("status", status())],
    )
}

fn status() -> Value {
    let strings = |about| list(about, json!({ "type": "string" }));
    let program = |about| {
        list(
            about,
            object(
                "",
                vec![("name", text("Its name.")), ("path", text("Where it is."))],
            ),
        )
    };
    object(
        "What was found. What is not known is absent.",
        vec![
            ("name", text("The node's name.")),
            (
                "addresses",
                strings("The node's addresses, the one by which others reach it first."),
            ),
            ("uuid", text("The machine's UUID.")),
            (
                "uuidSource",
                text("What the UUID was made from: dmi, deviceTree or machineId."),
            ),
            ("vendor", text("Who made the machine.")),
            ("model", text("What its maker calls it.")),
            ("roles", strings("The node's roles.")),
            (
                "region",
                object(
                    "Where it stands.",
                    vec![
                        ("continent", text("Such as Europe.")),
                        ("country", text("Such as Greece.")),
                        ("city", text("Such as Athens.")),
                    ],
                ),
            ),
            ("memoryBytes", whole("Memory that the kernel has to give.")),
            (
                "batteries",
                list(
                    "Batteries that feed the machine.",
                    object(
                        "",
                        vec![
                            ("name", text("As the kernel calls it.")),
                            ("present", flag("False for a bay without its battery.")),
                            ("capacityPercent", whole("How full it is.")),
                            (
                                "status",
                                text("Charging, Discharging, Not charging, Full or Unknown."),
                            ),
                        ],
                    ),
                ),
            ),
            (
                "cpu",
                object(
                    "The processors.",
                    vec![
                        (
                            "architecture",
                            text("As uname names it: x86_64, aarch64, armv7l."),
                        ),
                        ("bits", whole("The size of an address.")),
                        ("cores", whole("Cores that are switched on.")),
                        ("threads", whole("Logical processors that are switched on.")),
                        ("sockets", whole("Packages.")),
                        ("model", text("What its maker calls it.")),
                        ("vendor", text("Who made it.")),
                        ("maxMhz", whole("The highest frequency of any core.")),
                        ("features", strings("As the kernel abbreviates them.")),
                    ],
                ),
            ),
            ("gpus", list("Graphics processors.", gpu())),
            (
                "os",
                object(
                    "The distribution.",
                    vec![
                        ("id", text("Such as debian.")),
                        ("name", text("Its name.")),
                        ("version", text("Its version.")),
                        ("prettyName", text("Both, as people write it.")),
                    ],
                ),
            ),
            (
                "kernel",
                object(
                    "The running kernel.",
                    vec![
                        ("name", text("Linux.")),
                        ("release", text("As uname -r says it.")),
                    ],
                ),
            ),
            ("disks", list("Whole disks.", disk())),
            (
                "fileSystems",
                list(
                    "Mounted file systems that keep something.",
                    object(
                        "",
                        vec![
                            ("device", text("What is mounted.")),
                            ("fstype", text("Its type.")),
                            ("mountpoint", text("Where it is mounted.")),
                            ("sizeBytes", whole("Its size.")),
                            ("freeBytes", whole("What is free of it.")),
                        ],
                    ),
                ),
            ),
            (
                "networkInterfaces",
                list(
                    "Interfaces that lead out of the machine.",
                    object(
                        "",
                        vec![
                            ("name", text("Its name.")),
                            ("mac", text("Its hardware address.")),
                            ("mtuBytes", whole("The largest packet.")),
                            ("speedMbitPerSecond", whole("The speed of its link.")),
                            ("driver", text("Its driver.")),
                            ("addresses", strings("Its addresses.")),
                        ],
                    ),
                ),
            ),
            (
                "sensors",
                list(
                    "What can be measured.",
                    object(
                        "",
                        vec![
                            ("name", text("Its name.")),
                            ("kind", text("What is measured.")),
                            ("unit", text("In which unit.")),
                        ],
                    ),
                ),
            ),
            (
                "software",
                list(
                    "Installed packages that were asked for.",
                    object(
                        "",
                        vec![
                            ("name", text("The package.")),
                            ("version", text("Its version.")),
                        ],
                    ),
                ),
            ),
            (
                "canRun",
                object(
                    "What it can run.",
                    vec![
                        (
                            "containerRuntimes",
                            program("Programs that run containers."),
                        ),
                        (
                            "machineEmulators",
                            program("Programs that run virtual machines."),
                        ),
                        ("kvm", text("absent, untested, works or fails.")),
                        ("kvmDetail", text("What the probe saw.")),
                        ("cgroupVersion", text("v1, hybrid or v2.")),
                    ],
                ),
            ),
            (
                "virtualization",
                text("What the machine runs on itself; none for a real one."),
            ),
            (
                "summary",
                object(
                    "The same in a line, for people.",
                    vec![
                        ("cpu", text("Processors.")),
                        ("memory", text("Memory.")),
                        ("gpu", text("Graphics.")),
                        ("os", text("System.")),
                        ("runs", text("What can run.")),
                    ],
                ),
            ),
        ],
    )
}

fn gpu() -> Value {
    object(
        "",
        vec![
            ("name", text("Maker and model.")),
            ("vendor", text("Who made it.")),
            ("vendorId", text("PCI vendor.")),
            ("deviceId", text("PCI device.")),
            ("kind", text("integrated, dedicated or virtual.")),
            ("pciAddress", text("Where it sits.")),
            ("driver", text("Its driver.")),
            ("videoMemoryBytes", whole("Memory of its own.")),
            (
                "videoMemoryAtLeastBytes",
                whole("A lower bound of its memory, where only that is known."),
            ),
            (
                "sharedMemoryBytes",
                whole("Memory that it takes of the machine's."),
            ),
            ("unifiedMemory", flag("It has no memory but the machine's.")),
        ],
    )
}

fn disk() -> Value {
    object(
        "",
        vec![
            ("name", text("As the kernel calls it.")),
            ("sizeBytes", whole("Its size.")),
            ("model", text("What its maker calls it.")),
            ("rotational", flag("It turns.")),
            ("removable", flag("Its medium can be taken out.")),
            (
                "transport",
                text("How it is attached: nvme, usb, virtio, ..."),
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicloud_hardware::{Inputs, Root};

    #[test]
    fn the_definition_is_a_good_one() {
        let mut definition = definition();
        let unknown = minicloud_schema::crd::prune(&mut definition);
        assert_eq!(unknown, Vec::<String>::new());
        minicloud_schema::crd::default(&mut definition);
        let errors = minicloud_schema::crd::validate_create(&definition);
        assert!(errors.is_empty(), "{errors}");
    }

    /// Nothing that a machine says of itself may be pruned.
    #[test]
    fn it_has_every_field_that_is_reported() {
        let mut definition = definition();
        minicloud_schema::crd::default(&mut definition);
        let compiled = minicloud_schema::crd::compile(&definition).unwrap();
        let found = minicloud_hardware::read(&Root::new("/"), &Inputs::default());
        let mut status = serde_json::to_value(&found).unwrap();
        status["summary"] = crate::summary::of(&found);
        let mut device = json!({
            "apiVersion": "minicloud.io/v1", "kind": "Device", "metadata": {"name": "a"}, "status": status,
        });
        let pruned = compiled.versions[0].schema.prune(&mut device);
        assert_eq!(pruned, Vec::<String>::new());
        let errors = compiled.versions[0].schema.validate(&device);
        assert!(errors.is_empty(), "{errors}");
    }
}
