//! The CNI configuration that the container runtime reads: `bridge` with `host-local`, then `portmap`.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::{BRIDGE, Config};

/// The configuration file's name. The runtime takes the first of its folder in sorting order.
pub const FILE: &str = "10-minicloud.conflist";

/// The network configuration list (CNI specification 0.4.0, which Debian 12's plugins and containerd speak).
pub fn conflist(config: &Config) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "minicloud",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                "isDefaultGateway": true,
                // A pod may reach itself through its Service.
                "hairpinMode": true,
                // The proxy's table masquerades, so there is one place for address translation.
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": config.cni_data_dir,
                    "ranges": [[{"subnet": config.node_pod_cidr.to_string(), "gateway": config.gateway().to_string()}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    })
}

/// Writes the configuration whole or not at all; an unchanged file is left alone.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn write(config: &Config) -> anyhow::Result<()> {
    let path = config.cni_conf_dir.join(FILE);
    let text = serde_json::to_string_pretty(&conflist(config))?;
    if std::fs::read_to_string(&path).is_ok_and(|now| now == text) {
        return Ok(());
    }
    write_atomically(&path, &text).with_context(|| format!("cannot write {}", path.display()))
}

fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Not `.conflist`: the runtime must not read a draft.
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(&draft, path)
}

/// Removes the configuration, the record of given addresses and the chains that portmap leaves behind.
pub async fn clean_up(config: &Config) {
    let _ = std::fs::remove_file(config.cni_conf_dir.join(FILE));
    let _ = std::fs::remove_dir_all(&config.cni_data_dir);
    // portmap keeps its rules with iptables; these are its chains and the jumps to them.
    for (from, chain, rule) in [
        (
            "PREROUTING",
            "CNI-HOSTPORT-DNAT",
            "-m addrtype --dst-type LOCAL",
        ),
        (
            "OUTPUT",
            "CNI-HOSTPORT-DNAT",
            "-m addrtype --dst-type LOCAL",
        ),
        (
            "POSTROUTING",
            "CNI-HOSTPORT-MASQ",
            "-m comment --comment CNI\\ portfwd\\ requiring\\ masquerade",
        ),
    ] {
        let _ =
            crate::command::run("iptables", &format!("-t nat -D {from} {rule} -j {chain}")).await;
    }
    for chain in [
        "CNI-HOSTPORT-DNAT",
        "CNI-HOSTPORT-MASQ",
        "CNI-HOSTPORT-SETMARK",
    ] {
        let _ = crate::command::run("iptables", &format!("-t nat -F {chain}")).await;
        let _ = crate::command::run("iptables", &format!("-t nat -X {chain}")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::config;

    #[test]
    fn pods_get_addresses_of_this_nodes_range() {
        let list = conflist(&config());
        assert_eq!(
            list["plugins"][0]["ipam"]["ranges"][0][0]["subnet"],
            "10.42.0.0/24"
        );
        assert_eq!(
            list["plugins"][0]["ipam"]["ranges"][0][0]["gateway"],
            "10.42.0.1"
        );
    }
}
