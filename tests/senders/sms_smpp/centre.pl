# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
#
# A message centre by other people (Net::SMPP): tells its port, then each message it takes, one a line. It answers with
# a receipt before and another after each submit_sm_resp, and ends with its customer.

use strict;
use warnings;
use Net::SMPP;

$| = 1;
my $listener = Net::SMPP->new_listen('127.0.0.1', port => 0, async => 1, smpp_version => 0x34) or die "listen: $!";
print $listener->sockport, "\n";
my $customer = $listener->accept or die "accept: $!";
my $last = 0xA0F9;

sub deliver {
    my ($id, $to) = @_;
    my $text = "id:$id sub:001 dlvrd:001 submit date:2603010000 done date:2603010000 stat:DELIVRD err:000 text:x";
    $customer->deliver_sm(
        source_addr_ton => 1, source_addr_npi => 1, source_addr => $to, destination_addr => '', esm_class => 4,
        short_message => $text, seq => 0x1000 + $id, async => 1,
    );
}

while (my $pdu = $customer->read_pdu()) {
    my $command = $pdu->{cmd};
    if ($command == Net::SMPP::CMD_bind_transceiver) {
        my $good = $pdu->{system_id} eq 'demo' && $pdu->{password} eq 'demo-pwd' && $pdu->{interface_version} == 0x34;
        $customer->bind_transceiver_resp(seq => $pdu->{seq}, status => $good ? 0 : 0x0E, system_id => 'perl');
    } elsif ($command == Net::SMPP::CMD_submit_sm) {
        $last++;
        my $payload = $pdu->{message_payload} // $pdu->{short_message};
        print join(' ', map { $_ // '' } @$pdu{qw(source_addr_ton source_addr_npi dest_addr_ton dest_addr_npi
            destination_addr esm_class registered_delivery data_coding)}, unpack('H*', $payload)), "\n";
        deliver($last, $pdu->{destination_addr}) if $last % 2;
        $customer->submit_sm_resp(seq => $pdu->{seq}, status => 0, message_id => sprintf('%X', $last));
        deliver($last, $pdu->{destination_addr}) unless $last % 2;
    } elsif ($command == Net::SMPP::CMD_enquire_link) {
        $customer->enquire_link_resp(seq => $pdu->{seq}, status => 0);
    } elsif ($command == Net::SMPP::CMD_unbind) {
        $customer->unbind_resp(seq => $pdu->{seq}, status => 0);
        print "unbound\n";
        last;
    } elsif ($command == (Net::SMPP::CMD_deliver_sm | 0x80000000)) {
        print 'receipt ', $pdu->{seq} - 0x1000, ' ', $pdu->{status}, "\n";
    }
}
