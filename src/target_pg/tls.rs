//! TLS to the server, by the modes of libpq: <https://www.postgresql.org/docs/current/libpq-ssl.html>.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::environment::{Variable, expand_home};
use super::exit::LoadError;

/// How much TLS: libpq's `sslmode`. Its `allow` is taken as `prefer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// PEM text, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pem {
    File(PathBuf),
    Text(String),
}

/// Whose signature the server's certificate must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authority {
    /// One that the machine trusts.
    System,
    Pem(Pem),
}

/// What the server is shown.
#[derive(Debug, Clone)]
pub(super) struct ClientCertificate {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
}

/// The TLS settings of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {
    /// None: libpq's default, `prefer`.
    pub(super) mode: Option<SslMode>,
    pub(super) authority: Option<Authority>,
    pub(super) client: Option<ClientCertificate>,
}

impl SslMode {
    /// Reads libpq's word.
    ///
    /// # Errors
    /// When it is none of them.
    pub(super) fn parse(word: &str) -> Result<Self, LoadError> {
        Ok(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                let known = "disable, allow, prefer, require, verify-ca, verify-full";
                return Err(LoadError::Address { reason: format!("sslmode {word:?} is none of {known}") });
            }
        })
    }
}

impl Pem {
    /// A setting holds either the text or a path.
    pub(super) fn of_setting(value: &str) -> Self {
        match value.contains("-----BEGIN") {
            true => Self::Text(value.to_owned()),
            false => Self::File(expand_home(value)),
        }
    }

    fn read(&self, what: &str) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => std::fs::read(path).map_err(|error| LoadError::Address {
                reason: format!("{what} {} cannot be read: {error}", path.display()),
            }),
        }
    }

    fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>, LoadError> {
        let text = self.read(what)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(LoadError::Address { reason: format!("{what} holds no certificate in PEM form") }),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, LoadError> {
        let text = self.read("the client's private key")?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| LoadError::Address {
            reason: "the client's private key is none in PEM form, or is encrypted".to_owned(),
        })
    }
}

impl Authority {
    /// `system`, PEM text or a path.
    pub(super) fn of_setting(value: &str) -> Self {
        if value == "system" { Self::System } else { Self::Pem(Pem::of_setting(value)) }
    }
}

impl Tls {
    /// Adds what the variables of libpq say.
    ///
    /// # Errors
    /// When PGSSLMODE is no mode.
    pub(super) fn complete(&mut self, variable: Variable<'_>) -> Result<(), LoadError> {
        if self.mode.is_none() {
            self.mode = variable("PGSSLMODE").map(|word| SslMode::parse(&word)).transpose()?;
        }
        if self.authority.is_none() {
            self.authority = variable("PGSSLROOTCERT").map(|value| Authority::of_setting(&value));
        }
        if self.client.is_none() {
            let pem = |name| variable(name).map(|value| Pem::of_setting(&value));
            let pair = pem("PGSSLCERT").zip(pem("PGSSLKEY"));
            self.client = pair.map(|(certificate, key)| ClientCertificate { certificate, key });
        }
        Ok(())
    }

    /// Makes what connects.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, LoadError> {
        let provider = Arc::new(ring::default_provider());
        let broken = |error: Error| LoadError::Address { reason: format!("TLS cannot be set up: {error}") };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let verified = match (self.mode, &self.authority) {
            (Some(SslMode::VerifyFull), Some(Authority::System)) => builder.with_platform_verifier().map_err(broken)?,
            (Some(SslMode::VerifyFull), _) => builder.with_root_certificates(self.roots()?),
            (mode, _) => {
                let chain = match mode {
                    Some(SslMode::VerifyCa) => Some(self.chain_verifier(&provider)?),
                    // As libpq does it: an authority that is there is not given for nothing.
                    Some(SslMode::Require) if self.authority_is_there() => Some(self.chain_verifier(&provider)?),
                    _ => None,
                };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(NameIgnored { chain, provider }))
            }
        };
        let config = match &self.client {
            None => verified.with_no_client_auth(),
            Some(ClientCertificate { certificate, key }) => verified
                .with_client_auth_cert(certificate.certificates("the client's certificate")?, key.private_key()?)
                .map_err(broken)?,
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn authority_is_there(&self) -> bool {
        match &self.authority {
            Some(Authority::Pem(Pem::File(path))) => path.exists(),
            Some(Authority::Pem(Pem::Text(_))) => true,
            Some(Authority::System) | None => false,
        }
    }

    fn roots(&self) -> Result<RootCertStore, LoadError> {
        let default = Authority::of_setting("~/.postgresql/root.crt");
        let Authority::Pem(pem) = self.authority.as_ref().unwrap_or(&default) else {
            return Err(LoadError::Address {
                reason: "the machine's certificates go with sslmode verify-full alone".to_owned(),
            });
        };
        let mut roots = RootCertStore::empty();
        for certificate in pem.certificates("the certificate of the authority")? {
            roots.add(certificate).map_err(|error| LoadError::Address {
                reason: format!("the certificate of the authority cannot be used: {error}"),
            })?;
        }
        Ok(roots)
    }

    fn chain_verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, LoadError> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone())
            .build()
            .map_err(|error| LoadError::Address { reason: format!("TLS cannot be set up: {error}") })
    }
}

/// Verifies the chain of a certificate or nothing, and never the name in it: the modes below verify-full.
#[derive(Debug)]
struct NameIgnored {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NameIgnored {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is verified last, when the chain has proved good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
