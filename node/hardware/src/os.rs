//! The distribution, from os-release(5), and the kernel, from `/proc/sys/kernel`.

use serde::{Deserialize, Serialize};

use crate::Root;
use crate::root::clean;

/// A distribution, in the words of os-release(5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Os {
    /// `debian`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `Debian GNU/Linux`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `VERSION_ID`: `12`; rolling distributions have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `Debian GNU/Linux 12 (bookworm)`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretty_name: Option<String>,
}

/// The running kernel, in the words of uname(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kernel {
    /// `Linux`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `6.1.0-18-amd64`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// The value of a shell assignment: without its quotes and escapes.
fn unquoted(value: &str) -> Option<String> {
    let value = value.trim();
    let single = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\''));
    if let Some(value) = single {
        return clean(value);
    }
    let double = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let mut plain = String::new();
    let mut chars = double.unwrap_or(value).chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    clean(&plain)
}

/// What os-release says.
pub fn parse(os_release: &str) -> Os {
    let of = |name: &str| {
        let lines = os_release.lines();
        let mut values = lines.filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        values.next_back().and_then(unquoted)
    };
    Os {
        id: of("ID"),
        name: of("NAME"),
        version: of("VERSION_ID"),
        pretty_name: of("PRETTY_NAME"),
    }
}

pub(crate) fn read(root: &Root) -> Os {
    let text = root
        .text("/etc/os-release")
        .or_else(|| root.text("/usr/lib/os-release"));
    parse(&text.unwrap_or_default())
}

pub(crate) fn read_kernel(root: &Root) -> Kernel {
    Kernel {
        name: root.value("/proc/sys/kernel/ostype"),
        release: root.value("/proc/sys/kernel/osrelease"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release() {
        let os = parse(
            "# c\nNAME=Fedora\\ Linux\nID='fedora'\nPRETTY_NAME=\"A \\\"b\\\"\"\nBUILD_ID=1\nVERSION_ID=\n",
        );
        assert_eq!(os.name.as_deref(), Some("Fedora Linux"));
        assert_eq!(os.id.as_deref(), Some("fedora"));
        assert_eq!(os.pretty_name.as_deref(), Some("A \"b\""));
        assert_eq!(os.version, None);
        assert_eq!(parse("\\\n=\nID"), Os::default());
    }
}
