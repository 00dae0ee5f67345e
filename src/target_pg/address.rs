//! Where the database is: from the settings, a URL, and the `PG*` variables of libpq.

use std::path::Path;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as Negotiation};

use super::environment::Variable;
use super::exit::LoadError;
use super::passfile;
use super::settings::Settings;
use super::tls::{Authority, ClientCertificate, Pem, SslMode, Tls};

/// A server that does not answer for this long counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that is silently gone, such as behind a firewall, is noticed after this time without an acknowledgement.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// An idle connection is kept known to firewalls on the way.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Where Debian's and Red Hat's packages put the socket.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;

/// A database and how to speak to its server.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// What `tokio_postgres` needs.
    pub(super) config: Config,
    /// How much TLS.
    pub(super) tls: Tls,
}

impl Address {
    /// Finds the database; `url` wins over the settings, and variables complete what neither of them says.
    ///
    /// # Errors
    /// When the URL or a variable cannot be understood. No error shows a password.
    pub(super) fn find(url: Option<&str>, settings: &Settings, variable: Variable<'_>) -> Result<Self, LoadError> {
        let of_settings = settings.sqlalchemy_url.as_ref().map(ExposeSecret::expose_secret);
        let mut address = match url.or(of_settings) {
            Some(url) => Self::of_url(url)?,
            None => Self::of_parts(settings)?,
        };
        address.complete(variable)?;
        Ok(address)
    }

    fn of_parts(settings: &Settings) -> Result<Self, LoadError> {
        let mut config = Config::new();
        if let Some(host) = &settings.host {
            config.host(host);
        }
        if let Some(port) = settings.port {
            config.port(port);
        }
        if let Some(user) = &settings.user {
            config.user(user);
        }
        if let Some(password) = &settings.password {
            config.password(password.expose_secret());
        }
        if let Some(database) = &settings.database {
            config.dbname(database);
        }
        let mut tls = Tls::default();
        if settings.ssl_enable {
            tls.mode = Some(SslMode::parse(&settings.ssl_mode)?);
            tls.authority = Some(Authority::of_setting(&settings.ssl_certificate_authority));
        }
        if settings.ssl_client_certificate_enable {
            tls.client = Some(ClientCertificate {
                certificate: Pem::of_setting(&settings.ssl_client_certificate),
                key: Pem::of_setting(settings.ssl_client_private_key.expose_secret()),
            });
        }
        Ok(Self { config, tls })
    }

    fn of_url(url: &str) -> Result<Self, LoadError> {
        let unusable = |reason: String| LoadError::Address { reason: format!("the URL of the database {reason}") };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unusable("has no ://".to_owned()))?;
        // SQLAlchemy's driver, as in postgresql+psycopg.
        if !matches!(scheme.split('+').next(), Some("postgresql" | "postgres")) {
            return Err(unusable(format!("must begin with postgresql://, not {scheme}://")));
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut tls, mut certificate, mut key, mut kept) = (Tls::default(), None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // In SQLAlchemy's URLs a plus is a blank.
            let value = value.replace('+', "%20");
            let decoded = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => tls.mode = Some(SslMode::parse(&decoded)?),
                "sslrootcert" => tls.authority = Some(Authority::of_setting(&decoded)),
                "sslcert" => certificate = Some(Pem::of_setting(&decoded)),
                "sslkey" => key = Some(Pem::of_setting(&decoded)),
                // They change nothing for this program: it always speaks UTF-8, and never Kerberos.
                "client_encoding" | "gssencmode" | "krbsrvname" | "sslcompression" | "sslsni" => {}
                _ => kept.push(format!("{name}={value}")),
            }
        }
        tls.client = certificate.zip(key).map(|(certificate, key)| ClientCertificate { certificate, key });
        let plain = format!("postgresql://{location}?{}", kept.join("&"));
        let config = plain.parse().map_err(|error| unusable(format!("cannot be used: {}", cause(&error))))?;
        Ok(Self { config, tls })
    }

    /// Adds what the variables say, and the program's own choices.
    fn complete(&mut self, variable: Variable<'_>) -> Result<(), LoadError> {
        complete_server(&mut self.config, variable)?;
        complete_session(&mut self.config, variable)?;
        let Self { config, tls } = self;
        tls.complete(variable)?;
        config.ssl_mode(match tls.mode {
            Some(SslMode::Disable) => Negotiation::Disable,
            None | Some(SslMode::Prefer) => Negotiation::Prefer,
            Some(SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => Negotiation::Require,
        });
        if config.get_password().is_none()
            && let Some(password) = variable("PGPASSWORD").or_else(|| passfile::password(config, variable))
        {
            config.password(password);
        }
        Ok(())
    }

    /// The server and database for people, without the password.
    pub(super) fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        });
        let hosts = hosts.chain(self.config.get_hostaddrs().iter().map(ToString::to_string));
        let ports: Vec<_> = self.config.get_ports().iter().map(ToString::to_string).collect();
        let hosts: Vec<_> = hosts.collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("database {database} at {}:{}", hosts.join(","), ports.join(","))
    }
}

fn complete_server(config: &mut Config, variable: Variable<'_>) -> Result<(), LoadError> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let host = variable("PGHOST").unwrap_or_else(default_host);
        for host in host.split(',') {
            config.host(host);
        }
    }
    if config.get_ports().is_empty() {
        config.port(match variable("PGPORT") {
            None => DEFAULT_PORT,
            Some(port) => {
                port.parse().map_err(|_| LoadError::Address { reason: format!("PGPORT is no port: {port:?}") })?
            }
        });
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.tcp_user_timeout(TCP_USER_TIMEOUT).keepalives_idle(KEEPALIVE_IDLE);
    Ok(())
}

fn complete_session(config: &mut Config, variable: Variable<'_>) -> Result<(), LoadError> {
    if config.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let missing = || LoadError::Address { reason: "no user is given: set user, or PGUSER".to_owned() };
        config.user(user.ok_or_else(missing)?);
    }
    if config.get_dbname().is_none() {
        let database = variable("PGDATABASE").or_else(|| config.get_user().map(str::to_owned));
        database.map(|database| config.dbname(database));
    }
    if config.get_options().is_none() {
        variable("PGOPTIONS").map(|options| config.options(options));
    }
    if config.get_application_name().is_none() {
        config.application_name(variable("PGAPPNAME").unwrap_or_else(|| "target-pg".to_owned()));
    }
    Ok(())
}

/// Where libpq looks when nothing says where the server is.
fn default_host() -> String {
    let host = if Path::new(SOCKET_FOLDER).is_dir() { SOCKET_FOLDER } else { "localhost" };
    host.to_owned()
}

/// What an error of `tokio_postgres` is about; its own text is a heading.
pub(super) fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).expect("settings")
    }

    fn found(url: &str) -> Address {
        Address::find(Some(url), &settings("{}"), &|_| None).expect("an address")
    }

    #[test]
    fn a_url_of_sqlalchemy_is_read_with_its_driver_its_options_and_its_folder_of_a_socket() {
        let address = found("postgresql+psycopg://ann:p%40ss@/sales?host=/tmp/pg&options=-c+TimeZone%3DUTC");
        assert_eq!(address.config.get_hosts(), [Host::Unix("/tmp/pg".into())]);
        assert_eq!(address.config.get_options(), Some("-c TimeZone=UTC"));
        assert_eq!(address.config.get_dbname(), Some("sales"));
        assert_eq!(address.config.get_password(), Some(&b"p@ss"[..]));
    }

    #[test]
    fn a_url_says_how_much_tls() {
        let address = found("postgres://a@db.example/x?sslmode=verify-full&sslrootcert=%2Ftmp%2Fca.pem");
        assert_eq!(address.tls.mode, Some(SslMode::VerifyFull));
        assert_eq!(address.config.get_ssl_mode(), Negotiation::Require);
        assert_eq!(address.tls.authority, Some(Authority::Pem(Pem::File("/tmp/ca.pem".into()))));
    }

    #[test]
    fn variables_complete_what_the_settings_do_not_say() {
        let variables = |name: &str| match name {
            "PGHOST" => Some("elsewhere".to_owned()),
            "PGPORT" => Some("6000".to_owned()),
            "PGUSER" => Some("bob".to_owned()),
            "PGPASSWORD" => Some("secret".to_owned()),
            _ => None,
        };
        let address = Address::find(None, &settings(r#"{"host": "here"}"#), &variables).expect("an address");
        assert_eq!(address.shown(), "database bob at here:6000");
        assert_eq!(address.config.get_password(), Some(&b"secret"[..]));
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_password() {
        for url in ["mysql://a:hush@h/d", "postgresql:a:hush", "postgresql://a:hush@h/d?no_such=1"] {
            let error = Address::find(Some(url), &settings("{}"), &|_| None).expect_err("refused").to_string();
            assert!(error.contains("URL") && !error.contains("hush"), "{error}");
        }
    }
}
