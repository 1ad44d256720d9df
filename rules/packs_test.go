package rules

import (
	"strings"
	"testing"
	"time"
)

// What the nodes' sources list, by who lists it. A name may be covered by a
// family like debug_*.
var known = []struct{ from, api, prefix, names string }{
	{"IRI ApiCommand.java", "iri", "", `getNodeInfo getNodeAPIConfiguration getNeighbors addNeighbors removeNeighbors getTips
		findTransactions getTrytes getInclusionStates getBalances getTransactionsToApprove attachToTangle interruptAttachingToTangle
		broadcastTransactions storeTransactions checkConsistency wereAddressesSpentFrom getMissingTransactions setApiRateLimit storeMessage`},
	{"HORNET 0.5 plugins/webapi", "iri", "", `getNodeInfo getNodeAPIConfiguration getBalances checkConsistency getTipInfo getTransactionsToApprove
		getSpammerTips getInclusionStates wereAddressesSpentFrom broadcastTransactions storeTransactions findTransactions getTrytes attachToTangle
		addNeighbors removeNeighbors getNeighbors getRequests searchConfirmedApprover searchEntryPoints triggerSolidifier getFundsOnSpentAddresses
		getLedgerState getLedgerDiff getLedgerDiffExt createSnapshotFile pruneDatabase`},
	{"IOTA Rebased", "jsonrpc", "iota_", `getTransactionBlock multiGetTransactionBlocks getObject multiGetObjects tryGetPastObject
		tryGetObjectBeforeVersion tryMultiGetPastObjects getCheckpoint getCheckpoints getEvents getTotalTransactionBlocks
		getLatestCheckpointSequenceNumber getProtocolConfig getChainIdentifier isTransactionIndexedOnNode executeTransactionBlock
		devInspectTransactionBlock dryRunTransactionBlock view getMoveFunctionArgTypes getNormalizedMoveModulesByPackage
		getNormalizedMoveModule getNormalizedMoveStruct getNormalizedMoveFunction`},
	{"IOTA Rebased", "jsonrpc", "iotax_", `getOwnedObjects queryTransactionBlocks queryEvents getDynamicFields getDynamicFieldObject
		subscribeEvent subscribeTransaction getCoins getAllCoins getBalance getAllBalances getCoinMetadata getTotalSupply getStakes getStakesByIds
		getTimelockedStakes getTimelockedStakesByIds getCommitteeInfo getLatestIotaSystemState getReferenceGasPrice getValidatorsApy getEpochs
		getEpochMetrics getCurrentEpoch getNetworkMetrics getMoveCallMetrics getLatestAddressMetrics getCheckpointAddressMetrics
		getAllEpochAddressMetrics getTotalTransactions getLatestBridge getBridgeObjectInitialSharedVersion`},
	{"IOTA Rebased", "jsonrpc", "unsafe_", `transferObject transferIota pay payIota payAllIota moveCall publish splitCoin splitCoinEqual
		mergeCoins batchTransaction requestAddStake requestWithdrawStake requestAddTimelockedStake requestWithdrawTimelockedStake`},
	{"geth", "jsonrpc", "", `eth_blockNumber eth_call eth_getLogs eth_sendRawTransaction debug_traceTransaction txpool_content personal_unlockAccount
		personal_importRawKey admin_addPeer net_version web3_clientVersion trace_block engine_newPayloadV3 miner_start`},
	{"Erigon", "jsonrpc", "", `trace_block trace_filter trace_call trace_futureMethod erigon_forks erigon_getLatestLogs ots_getApiLevel ots_searchTransactionsAfter
		eth_callMany`},
	{"Bitcoin Core", "bitcoin", "", `getblockchaininfo getblockcount getbestblockhash getblock getblockheader getblockstats getchaintips getchaintxstats
		getmempoolancestors getmempooldescendants getmempoolentry getmempoolinfo getrawmempool gettxout gettxoutproof gettxoutsetinfo preciousblock
		pruneblockchain savemempool scantxoutset verifychain verifytxoutproof waitfornewblock getrpcinfo help logging stop uptime getblocktemplate
		getmininginfo prioritisetransaction submitblock addnode clearbanned disconnectnode getpeerinfo setban setnetworkactive getrawtransaction
		sendrawtransaction testmempoolaccept estimatesmartfee validateaddress dumpprivkey sendtoaddress walletpassphrase walletpassphrasechange
		rescanblockchain importdescriptors listreceivedbyaddress generatetoaddress`},
	{"Bitcoin Core REST", "bitcoin", "/rest/", `chaininfo.json tx/ID block/ID block/notxdetails/ID headers/5/ID mempool/info.json mempool/contents.json
		getutxos/checkmempool/ID blockhashbyheight/7 blockfilter/basic/ID`},
	{"HORNET 1 /api/v1", "rest", "/api/v1/", `info tips messages messages/ID messages/ID/metadata messages/ID/raw messages/ID/children POST:messages
		transactions/ID/included-message transactions/ID/included-message/metadata transactions/ID/included-message/raw
		transactions/ID/included-message/children milestones/7 milestones/7/utxo-changes outputs/ID addresses/ID addresses/ID/outputs
		addresses/ed25519/ID addresses/ed25519/ID/outputs treasury receipts receipts/7 peers peers/ID POST:peers DELETE:peers/ID
		POST:control/database/prune POST:control/snapshots/create`},
	{"HORNET 1 plugins", "rest", "/api/plugins/", `POST:debug/whiteflag debug/solidifier debug/outputs debug/outputs/unspent debug/outputs/spent
		debug/outputs/ID debug/addresses debug/ms-diff/7 debug/requests debug/message-cones/ID participation/events participation/outputs/ID
		participation/addresses/ID POST:participation/admin/events spammer/status spammer/start spammer/stop faucet/info POST:faucet/enqueue
		poi/create/ID POST:poi/validate`},
	{"HORNET 2 /api/core/v2", "rest", "/api/core/v2/", `info tips POST:blocks blocks/ID blocks/ID/metadata transactions/ID/included-block
		transactions/ID/included-block/metadata milestones/ID milestones/ID/utxo-changes milestones/by-index/7 milestones/by-index/7/utxo-changes
		outputs/ID outputs/ID/metadata treasury receipts receipts/7 POST:whiteflag peers peers/ID POST:peers DELETE:peers/ID
		POST:control/database/prune POST:control/snapshots/create`},
	{"HORNET 2 others", "rest", "/api/", `debug/v1/solidifier debug/v1/outputs debug/v1/outputs/unspent debug/v1/outputs/spent debug/v1/ms-diff/7
		debug/v1/requests debug/v1/block-cones/ID dashboard-metrics/v1/info dashboard-metrics/v1/database/sizes dashboard-metrics/v1/gossip
		indexer/v1/outputs mqtt/v1 participation/v1/events poi/v1/create/ID faucet/info routes`},
	{"HORNET", "rest", "/", "health mqtt"},
	{"HORNET 0.5", "iri", "/", "healthz spammer"},
}

func TestPacksKnow(t *testing.T) {
	for _, list := range known {
		for _, name := range strings.Fields(list.names) {
			for _, api := range []string{list.api, Auto} {
				r := requestFor(list.api, list.prefix, name)
				v := view(t, api).Classify(r)
				if v.Command.Name == Other || v.Command.API != list.api {
					t.Errorf("%s, %s%s as %s: got %s of %s", list.from, list.prefix, name, api, v.Command.Name, v.Command.API)
				}
			}
		}
	}
}

func requestFor(api, prefix, name string) *Request {
	if strings.HasPrefix(prefix, "/") {
		method, path, ok := strings.Cut(name, ":")
		if !ok {
			method, path = "GET", name
		}
		return get(method, prefix+strings.ReplaceAll(path, "ID", strings.Repeat("0123456789abcdef", 4)))
	}
	if api == "bitcoin" {
		return post(`{"jsonrpc":"1.0","id":"curltest","method":"` + prefix + name + `","params":[]}`)
	}
	if api == "jsonrpc" {
		return post(`{"jsonrpc":"2.0","id":1,"method":"` + prefix + name + `"}`)
	}
	return post(`{"command":"` + name + `"}`)
}

func TestPacksBudgets(t *testing.T) {
	s := time.Second
	for _, tt := range []struct {
		api, name      string
		warn, critical time.Duration
		lock           string
		canary, admin  bool
	}{
		{"iri", "getNodeInfo", 1 * s, 3 * s, "", true, false},
		{"iri", "getNeighbors", 1 * s, 5 * s, "", false, true},
		{"iri", "findTransactions", 2 * s, 10 * s, "iri.api", false, false},
		{"iri", "getTrytes", 2 * s, 10 * s, "iri.api", false, false},
		{"iri", "getTips", 2 * s, 10 * s, "iri.api", false, false},
		{"iri", "storeMessage", 60 * s, 300 * s, "iri.api", false, false},
		{"iri", "getBalances", 3 * s, 10 * s, "", false, false},
		{"iri", "checkConsistency", 5 * s, 15 * s, "", false, false},
		{"iri", "getTransactionsToApprove", 10 * s, 30 * s, "iri.api", false, false},
		{"iri", "attachToTangle", 60 * s, 300 * s, "iri.api", false, false},
		{"iri", "interruptAttachingToTangle", 5 * s, 30 * s, "", false, true},
		{"iri", "getLedgerState", 10 * s, 60 * s, "", false, false},
		{"jsonrpc", "trace_filter", 60 * s, 300 * s, "", false, false},
		{"bitcoin", "getblockcount", 1 * s, 3 * s, "", true, false},
		{"bitcoin", "scantxoutset", 60 * s, 300 * s, "", false, false},
		{"bitcoin", "waitfornewblock", 0, 0, "", false, false},
		{"bitcoin", "dumpprivkey", 5 * s, 30 * s, "", false, true},
		{"iri", "GET /healthz", 1 * s, 3 * s, "", true, false},
		{"iri", Other, 5 * s, 30 * s, "", false, false},
		{"jsonrpc", Other, 5 * s, 30 * s, "", false, false},
		{"rest", Other, 5 * s, 30 * s, "", false, false},
		{"rest", "GET /api/v1/info", 1 * s, 3 * s, "", true, false},
		{"rest", "GET /mqtt", 0, 0, "", false, false},
		{"rest", "GET /api/mqtt/v1", 0, 0, "", false, false},
		{"rest", "POST /api/core/v2/whiteflag", 10 * s, 60 * s, "", false, true},
	} {
		c := command(Default(), tt.api, tt.name)
		if c == nil {
			t.Errorf("%s %s: not there", tt.api, tt.name)
			continue
		}
		if c.Warn != tt.warn || c.Critical != tt.critical || c.Lock != tt.lock || c.Canary != tt.canary || c.Admin != tt.admin {
			t.Errorf("got %+v, want %+v", *c, tt)
		}
	}
}

func TestPacksWhole(t *testing.T) {
	s := Default()
	for i, c := range s.Commands() {
		if c.Index != i {
			t.Errorf("%s: index %d at %d", c.Name, c.Index, i)
		}
		if (c.Critical == 0) != (c.Class == ClassStream) {
			t.Errorf("%s %s: critical %s in class %s: only a stream has no budget", c.API, c.Name, c.Critical, c.Class)
		}
		if c.Class == ClassUnknown && c.Name != Other {
			t.Errorf("%s %s: has no class", c.API, c.Name)
		}
	}
	for _, api := range s.APIs() {
		if command(s, api, Other) == nil || command(s, api, optionsName) == nil {
			t.Errorf("%s: lacks other or OPTIONS", api)
		}
		if _, err := s.Select(api); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Select("jsonrcp"); err == nil || !strings.Contains(err.Error(), "did you mean jsonrpc?") {
		t.Errorf("got %v, want a hint", err)
	}
	again, err := Load()
	if err != nil || again.Digest() != s.Digest() || len(s.Digest()) != 16 {
		t.Errorf("digests %q and %q, %v", again.Digest(), s.Digest(), err)
	}
}
