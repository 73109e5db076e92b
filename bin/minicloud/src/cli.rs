//! The command line: what can be said, and nothing of what is done about it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Flags;

/// The machines of one site as one small cloud, through the Kubernetes API.
#[derive(Debug, Parser)]
#[command(
    name = "minicloud",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a control plane and, on the same machine, a node.
    Server(ServerArgs),
    /// Show what runs: nodes, pods, components.
    Status(StatusArgs),
    /// Check this host and say what to do about what is wrong.
    Doctor(DoctorArgs),
    /// Print credentials for kubectl and other clients.
    Kubeconfig(KubeconfigArgs),
    /// Build, import and list container images, without Docker and without a registry.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Answer for cluster DNS. The server starts this by itself.
    #[command(hide = true)]
    Dns {
        /// Its settings.
        #[arg(long)]
        file: PathBuf,
    },
    /// Start a small guest by KVM and say whether it ran. The server starts this by itself.
    #[command(hide = true)]
    ProbeKvm,
    /// Stop everything and remove what the server made on this machine.
    Reset(ResetArgs),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// `minicloud server`
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The settings.
    #[command(flatten)]
    pub flags: Flags,
}

/// `minicloud status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The settings, to find the server.
    #[command(flatten)]
    pub flags: Flags,
    /// Credentials; the administrator's of this machine when absent.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `minicloud doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The settings that the host is checked for.
    #[command(flatten)]
    pub flags: Flags,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `minicloud kubeconfig`
#[derive(Debug, Args)]
pub struct KubeconfigArgs {
    /// The settings, to find the certificate authority.
    #[command(flatten)]
    pub flags: Flags,
    /// Issue a certificate for this user instead of the administrator's.
    #[arg(long)]
    pub user: Option<String>,
    /// A group that the user is in; may be repeated.
    #[arg(long = "group", requires = "user")]
    pub groups: Vec<String>,
    /// The server's URL in the result.
    #[arg(long)]
    pub server: Option<String>,
    /// Write to this file, readable by its owner only, instead of printing.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

/// `minicloud image`
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image from a recipe (a folder with image.toml), and import it.
    Build {
        /// The recipe, or its folder.
        path: PathBuf,
        /// Only build; do not import.
        #[arg(long)]
        no_import: bool,
        /// Fetch packages anew.
        #[arg(long)]
        fresh: bool,
        /// Where layers are kept between builds.
        #[arg(long, default_value = "/var/cache/minicloud/images")]
        cache: PathBuf,
        /// The settings, to find containerd.
        #[command(flatten)]
        flags: Flags,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Import an OCI or Docker archive.
    Import {
        /// The archive.
        archive: PathBuf,
        /// The settings, to find containerd.
        #[command(flatten)]
        flags: Flags,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// List the images on this machine.
    Ls {
        /// The settings, to find containerd.
        #[command(flatten)]
        flags: Flags,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// `minicloud reset`
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// The settings, to find what to remove.
    #[command(flatten)]
    pub flags: Flags,
    /// Also remove all data: the cluster's state, volumes, images.
    #[arg(long)]
    pub data: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}
