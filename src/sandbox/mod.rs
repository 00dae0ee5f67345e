//! A fake HubSpot portal.
