//! Which Alertmanager: the setting `--alertmanager`, and what a message is sent by.

use std::path::PathBuf;

use http::Uri;

/// Which Alertmanager there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// None: alerts are seen in Prometheus and in the console only.
    Off,
    /// Debian's, run by us.
    Managed(Sending),
    /// Any that speaks its API v2; `http` or `https`, whose certificate has to be one that Debian trusts.
    Url(Uri),
}

/// How the one that we run tells people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// By mail.
    Mail(Mail),
    /// As an `alertmanager.yml` says.
    File(PathBuf),
}

/// Where mail is handed over, and to whom it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The mail server, `HOST:PORT`.
    pub smarthost: String,
    /// The sender's address.
    pub from: String,
    /// The receivers' addresses; one at least.
    pub to: Vec<String>,
    /// Who signs in, and the file with the password.
    pub auth: Option<(String, PathBuf)>,
    /// Nothing is sent without TLS.
    pub require_tls: bool,
}

/// The settings as they were given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--alertmanager`.
    pub alertmanager: Option<String>,
    /// `--alertmanager-config-file`.
    pub config_file: Option<PathBuf>,
    /// `--smtp-smarthost`.
    pub smarthost: Option<String>,
    /// `--smtp-from`.
    pub from: Option<String>,
    /// `--smtp-to`.
    pub to: Vec<String>,
    /// `--smtp-auth-username`.
    pub username: Option<String>,
    /// `--smtp-auth-password-file`.
    pub password_file: Option<PathBuf>,
    /// `--smtp-require-tls`.
    pub require_tls: Option<bool>,
}

/// A setting that cannot be used; says what to give instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChoiceError {
    /// Neither a word nor a URL.
    #[error(
        "alertmanager {0:?} is neither off, managed nor a URL such as https://alerts.example.net"
    )]
    Unknown(String),
    /// Nobody would be told.
    #[error(
        "alertmanager managed tells nobody: give smtp-smarthost, smtp-from and smtp-to for mail, or alertmanager-config-file ({0} is missing)"
    )]
    Nobody(&'static str),
    /// Mail and a file.
    #[error(
        "alertmanager-config-file and smtp-smarthost exclude each other: put the mail server into the file"
    )]
    Both,
    /// No mail server.
    #[error("smtp-smarthost {0:?} is not of the form HOST:PORT, such as mail.example.net:587")]
    Smarthost(String),
    /// No address.
    #[error("{0} {1:?} is no mail address")]
    Address(&'static str, String),
    /// Half of the credentials.
    #[error("smtp-auth-username and smtp-auth-password-file go together")]
    HalfAuth,
    /// A setting that does nothing.
    #[error("{0} is given, but alertmanager is not managed: give --alertmanager managed")]
    Idle(&'static str),
}

impl Given {
    /// What the settings come to.
    ///
    /// # Errors
    /// When they cannot be used together.
    pub fn choose(self) -> Result<Choice, ChoiceError> {
        let word = self.alertmanager.as_deref().unwrap_or("off");
        if word == "managed" {
            return self.sending().map(Choice::Managed);
        }
        let idle = [
            ("alertmanager-config-file", self.config_file.is_some()),
            ("smtp-smarthost", self.smarthost.is_some()),
        ];
        if let Some((name, _)) = idle.into_iter().find(|(_, given)| *given) {
            return Err(ChoiceError::Idle(name));
        }
        if word == "off" {
            return Ok(Choice::Off);
        }
        let url: Option<Uri> = word.parse().ok();
        let usable = url.filter(|url| {
            let scheme = matches!(url.scheme_str(), Some("http" | "https"));
            let authority = url.authority().map_or("", |a| a.as_str());
            scheme && !authority.is_empty() && !authority.contains('@') && url.query().is_none()
        });
        usable
            .map(Choice::Url)
            .ok_or_else(|| ChoiceError::Unknown(word.to_owned()))
    }

    fn sending(self) -> Result<Sending, ChoiceError> {
        if let Some(file) = self.config_file {
            return match self.smarthost {
                Some(_) => Err(ChoiceError::Both),
                None => Ok(Sending::File(file)),
            };
        }
        let smarthost = self
            .smarthost
            .ok_or(ChoiceError::Nobody("smtp-smarthost"))?;
        let port = smarthost
            .rsplit_once(':')
            .and_then(|(host, port)| Some((!host.is_empty()).then_some(port)?.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            return Err(ChoiceError::Smarthost(smarthost));
        }
        let from = self.from.ok_or(ChoiceError::Nobody("smtp-from"))?;
        if self.to.is_empty() {
            return Err(ChoiceError::Nobody("smtp-to"));
        }
        address("smtp-from", &from)?;
        for to in &self.to {
            address("smtp-to", to)?;
        }
        let auth = match (self.username, self.password_file) {
            (Some(name), Some(file)) => Some((name, file)),
            (None, None) => None,
            _ => return Err(ChoiceError::HalfAuth),
        };
        Ok(Sending::Mail(Mail {
            smarthost,
            from,
            to: self.to,
            auth,
            require_tls: self.require_tls.unwrap_or(true),
        }))
    }
}

/// Enough to see a mistake: the mail server judges.
fn address(name: &'static str, text: &str) -> Result<(), ChoiceError> {
    let good = text
        .split_once('@')
        .is_some_and(|(who, at)| !who.is_empty() && !at.is_empty());
    if good && !text.contains([',', '\n', '{', '\r']) {
        return Ok(());
    }
    Err(ChoiceError::Address(name, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Given {
        Given {
            alertmanager: Some("managed".into()),
            smarthost: Some("mail.example:587".into()),
            from: Some("site@example.net".into()),
            to: vec!["ann@example.net".into()],
            ..Given::default()
        }
    }

    #[test]
    fn words_urls_and_what_goes_together() {
        let word = |word: &str| {
            Given {
                alertmanager: Some(word.into()),
                ..Given::default()
            }
            .choose()
        };
        assert_eq!(Given::default().choose(), Ok(Choice::Off));
        assert_eq!(word("off"), Ok(Choice::Off));
        assert!(matches!(word("https://alerts.example"), Ok(Choice::Url(_))));
        assert!(matches!(
            mail().choose(),
            Ok(Choice::Managed(Sending::Mail(Mail {
                require_tls: true,
                auth: None,
                ..
            })))
        ));
        let check = |given: Given, expect: &str| {
            let said = given.choose().unwrap_err().to_string();
            assert!(said.contains(expect), "{said}");
        };
        for bad in ["on", "ftp://a", "http://me:secret@a", "https://"] {
            assert!(word(bad).is_err(), "{bad}");
        }
        check(
            Given {
                alertmanager: Some("managed".into()),
                ..Given::default()
            },
            "smtp-smarthost is missing",
        );
        check(
            Given {
                to: vec![],
                ..mail()
            },
            "smtp-to is missing",
        );
        check(
            Given {
                alertmanager: None,
                ..mail()
            },
            "smtp-smarthost is given",
        );
        check(
            Given {
                smarthost: Some("mail".into()),
                ..mail()
            },
            "HOST:PORT",
        );
        check(
            Given {
                from: Some("site".into()),
                ..mail()
            },
            "no mail address",
        );
        check(
            Given {
                username: Some("a".into()),
                ..mail()
            },
            "go together",
        );
        check(
            Given {
                config_file: Some("a.yml".into()),
                ..mail()
            },
            "exclude",
        );
    }
}
