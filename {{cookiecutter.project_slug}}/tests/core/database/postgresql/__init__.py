"""What holds on PostgreSQL alone, whichever database the other tests run on."""
