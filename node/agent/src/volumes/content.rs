//! Which files a generated volume has: ConfigMap, Secret, downward API, projected. Pure.

use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume};

use super::Inputs;
use crate::objects::Data;
use crate::{env, pod, resources};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the volume, without `..`.
    pub path: PathBuf,
    /// Content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner, when not root.
    pub owner: Option<u32>,
}

/// Files by path; a later source replaces an earlier one's file.
pub(super) fn files(pod: &Pod, volume: &Volume, inputs: &Inputs<'_>) -> Result<Vec<File>, String> {
    let mut files = Files::default();
    if let Some(source) = &volume.config_map {
        let data = inputs.objects.config_map(&source.name);
        files.default_mode = mode(source.default_mode);
        files.object(
            "configmap",
            &source.name,
            data,
            &source.items,
            source.optional,
        )?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        files.default_mode = mode(source.default_mode);
        files.object(
            "secret",
            name,
            inputs.objects.secret(name),
            &source.items,
            source.optional,
        )?;
    } else if let Some(source) = &volume.downward_api {
        files.default_mode = mode(source.default_mode);
        files.downward(pod, source.items.as_deref().unwrap_or_default(), inputs)?;
    } else if let Some(source) = &volume.projected {
        files.default_mode = mode(source.default_mode);
        for source in source.sources.iter().flatten() {
            if let Some(source) = &source.config_map {
                let data = inputs.objects.config_map(&source.name);
                files.object(
                    "configmap",
                    &source.name,
                    data,
                    &source.items,
                    source.optional,
                )?;
            } else if let Some(source) = &source.secret {
                let data = inputs.objects.secret(&source.name);
                files.object("secret", &source.name, data, &source.items, source.optional)?;
            } else if let Some(source) = &source.downward_api {
                files.downward(pod, source.items.as_deref().unwrap_or_default(), inputs)?;
            } else if let Some(source) = &source.service_account_token {
                // Without a token (a cold start with no server) the file is not there; it comes with the server.
                if let Some(token) = inputs
                    .tokens
                    .get(&(volume.name.clone(), source.path.clone()))
                {
                    let (mode, owner) = token_access(pod, files.default_mode);
                    files.add(&source.path, token.clone(), mode, owner)?;
                }
            } else {
                return Err("this projected source is not supported by this node".into());
            }
        }
    }
    Ok(files.list)
}

fn mode(bits: Option<i32>) -> u32 {
    u32::try_from(bits.unwrap_or(0o644)).unwrap_or(0o644) & 0o777
}

/// Mode and owner of a token: as tight as the pod's users allow.
fn token_access(pod: &Pod, default: u32) -> (u32, Option<u32>) {
    if super::fs_group(pod).is_some() {
        return (0o600, None);
    }
    let general = pod::spec(pod)
        .security_context
        .as_ref()
        .and_then(|s| s.run_as_user);
    let mut users = pod::containers(pod).map(|(_, c)| {
        c.security_context
            .as_ref()
            .and_then(|s| s.run_as_user)
            .or(general)
    });
    match users.next() {
        Some(Some(first)) if users.all(|u| u == Some(first)) => (0o600, u32::try_from(first).ok()),
        _ => (default, None),
    }
}

#[derive(Default)]
struct Files {
    list: Vec<File>,
    default_mode: u32,
}

impl Files {
    fn add(
        &mut self,
        path: &str,
        data: Vec<u8>,
        mode: u32,
        owner: Option<u32>,
    ) -> Result<(), String> {
        let path = Path::new(path);
        let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || path.as_os_str().is_empty() || path.to_string_lossy().starts_with("..") {
            return Err(format!("invalid path {path:?} in a volume"));
        }
        self.list.retain(|f| f.path != path);
        self.list.push(File {
            path: path.to_owned(),
            data,
            mode,
            owner,
        });
        Ok(())
    }

    fn object(
        &mut self,
        kind: &str,
        name: &str,
        data: Option<&Data>,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        let optional = optional.unwrap_or(false);
        let Some(data) = data else {
            return if optional {
                Ok(())
            } else {
                Err(format!("{kind} \"{name}\" not found"))
            };
        };
        match items.as_deref() {
            None | Some([]) => {
                for (key, value) in data.files() {
                    self.add(key, value.clone(), self.default_mode, None)?;
                }
            }
            Some(items) => {
                for item in items {
                    let mode = item.mode.map_or(self.default_mode, |m| mode(Some(m)));
                    match data.file(&item.key) {
                        Some(value) => self.add(&item.path, value.clone(), mode, None)?,
                        None if optional => {}
                        None => {
                            return Err(format!(
                                "{kind} \"{name}\" references non-existent key: {}",
                                item.key
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn downward(
        &mut self,
        pod: &Pod,
        items: &[DownwardAPIVolumeFile],
        inputs: &Inputs<'_>,
    ) -> Result<(), String> {
        for item in items {
            let mode = item.mode.map_or(self.default_mode, |m| mode(Some(m)));
            let text = if let Some(field) = &item.field_ref {
                env::field(pod, &field.field_path, &[], &[])?
            } else if let Some(field) = &item.resource_field_ref {
                let name = field.container_name.as_deref().unwrap_or_default();
                let (_, container) = pod::container(pod, name)
                    .ok_or_else(|| format!("container {name:?} not found"))?;
                resources::field(
                    container,
                    &field.resource,
                    field.divisor.as_ref(),
                    inputs.allocatable,
                )
                .ok_or_else(|| format!("unsupported container resource: {}", field.resource))?
            } else {
                continue;
            };
            self.add(&item.path, text.into_bytes(), mode, None)?;
        }
        Ok(())
    }
}
