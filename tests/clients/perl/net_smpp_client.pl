#!/usr/bin/perl
# A foreign SMPP client: Perl's Net::SMPP.
#
#   net_smpp_client.pl HOST PORT SYSTEM_ID PASSWORD [--source S] [--timeout SECONDS]
#
# Binds as transceiver, submits the texts given on stdin as [{"to": MSISDN, "text": ...}] (receipts requested; GSM 7-bit where
# Perl's own table has every character, otherwise UCS-2; what is longer than 254 octets in message_payload), waits for one final
# receipt each, unbinds.
#
# stdout: {"submitted": [ids], "receipts": [{"id", "stat", "text"}], "mo": [...]}
# Exit code 0 when all receipts came in time, 1 when not, 2 when the bind or a submit was refused.
use strict;
use warnings;

use Encode qw(encode);
use Getopt::Long;
use JSON::PP;
use Net::SMPP;

my %option = (source => '13123', timeout => 20);
GetOptions(\%option, 'source=s', 'timeout=f') or exit 2;
my ($host, $port, $system_id, $password) = @ARGV;
my $texts = decode_json(do { local $/; <STDIN> });
my %result = (submitted => [], receipts => [], mo => []);

sub finish {
    my ($code) = @_;
    print JSON::PP->new->canonical->encode(\%result), "\n";
    exit $code;
}

sub fail {
    my ($what, $status) = @_;
    $result{error} = { what => $what, status => $status };
    finish(2);
}

$SIG{ALRM} = sub { finish(1) };
alarm($option{timeout});

my ($smpp, $bound) = Net::SMPP->new_transceiver(
    $host,
    port      => $port,
    system_id => $system_id,
    password  => $password,
) or fail('connect', undef);
fail('bind', undef) if !$bound;
fail('bind', $bound->status) if $bound->status != 0;

sub body {
    my ($text) = @_;
    my $gsm = eval { encode('gsm0338', $text, Encode::FB_CROAK | Encode::LEAVE_SRC) };
    my $bytes = $gsm // encode('UTF-16BE', $text);
    my @coding = (data_coding => defined $gsm ? 0x00 : 0x08);
    return (@coding, short_message => $bytes) if length($bytes) <= 254;
    return (@coding, short_message => '', message_payload => $bytes);
}

my %index;
for my $i (0 .. $#$texts) {
    my $sequence = $smpp->submit_sm(
        source_addr_ton     => $option{source} =~ /\A\d+\z/ ? 0x03 : 0x05,
        source_addr_npi     => 0x00,
        source_addr         => $option{source},
        dest_addr_ton       => 0x01,
        dest_addr_npi       => 0x01,
        destination_addr    => $texts->[$i]{to},
        registered_delivery => 0x01,
        async               => 1,
        body($texts->[$i]{text}),
    );
    $index{$sequence} = $i;
}

sub receive_delivery {
    my ($pdu) = @_;
    $smpp->deliver_sm_resp(message_id => '', seq => $pdu->seq);
    my $text = $pdu->{short_message};
    if (($pdu->{esm_class} & 0x3c) == 0x04) {
        my ($id)   = $text =~ /id:(\S+)/;
        my ($stat) = $text =~ /stat:(\S+)/;
        my $tlv = $pdu->{receipted_message_id};
        $tlv =~ s/\0\z// if defined $tlv;
        push @{ $result{receipts} }, { id => $tlv // $id, stat => $stat, text => $text };
    } else {
        push @{ $result{mo} }, { source => $pdu->{source_addr}, dest => $pdu->{destination_addr}, text => $text };
    }
}

my $answered = 0;
while ($answered < @$texts || @{ $result{receipts} } < @$texts) {
    my $pdu = $smpp->read_pdu() or fail('connection closed', undef);
    if ($pdu->cmd == Net::SMPP::CMD_submit_sm_resp) {
        fail('submit_sm', $pdu->status) if $pdu->status != 0;
        $result{submitted}[ $index{ $pdu->seq } ] = $pdu->message_id;
        $answered++;
    } elsif ($pdu->cmd == Net::SMPP::CMD_deliver_sm) {
        receive_delivery($pdu);
    } elsif ($pdu->cmd == Net::SMPP::CMD_enquire_link) {
        $smpp->enquire_link_resp(seq => $pdu->seq);
    }
}
$smpp->unbind();
finish(0);
