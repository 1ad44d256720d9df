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
	{"Bitcoin Core src/wallet/rpc/wallet.cpp, 24 to 30", "bitcoin", "", `fundrawtransaction abandontransaction abortrescan addmultisigaddress backupwallet
		bumpfee psbtbumpfee createwallet createwalletdescriptor restorewallet dumpprivkey dumpwallet encryptwallet getaddressesbylabel getaddressinfo
		getbalance gethdkeys getnewaddress getrawchangeaddress getreceivedbyaddress getreceivedbylabel gettransaction getunconfirmedbalance getbalances
		getwalletinfo importaddress importdescriptors importmulti importprivkey importprunedfunds importpubkey importwallet keypoolrefill
		listaddressgroupings listdescriptors listlabels listlockunspent listreceivedbyaddress listreceivedbylabel listsinceblock listtransactions
		listunspent listwalletdir listwallets loadwallet lockunspent migratewallet newkeypool removeprunedfunds rescanblockchain send sendmany
		sendtoaddress sethdseed setlabel settxfee setwalletflag signmessage signrawtransactionwithwallet simulaterawtransaction sendall unloadwallet
		upgradewallet walletcreatefundedpsbt walletdisplayaddress walletlock walletpassphrase walletpassphrasechange walletprocesspsbt`},
	{"Bitcoin Core src/rpc/{net,mining,node,blockchain}.cpp", "bitcoin", "", `getconnectioncount ping getpeerinfo addnode disconnectnode getaddednodeinfo
		getnettotals getnetworkinfo setban listbanned clearbanned setnetworkactive getnodeaddresses getaddrmaninfo addconnection addpeeraddress
		sendmsgtopeer getrawaddrman getnetworkhashps getmininginfo prioritisetransaction getprioritisedtransactions getblocktemplate submitblock
		submitheader generatetoaddress generatetodescriptor generateblock generate getmemoryinfo logging getindexinfo setmocktime mockscheduler echo
		echojson echoipc getblockfrompeer getdeploymentinfo scanblocks getblockfilter invalidateblock reconsiderblock waitforblock waitforblockheight
		syncwithvalidationinterfacequeue dumptxoutset loadtxoutset getchainstates`},
	{"Bitcoin Core REST", "bitcoin", "/rest/", `chaininfo.json tx/ID block/ID block/notxdetails/ID headers/5/ID mempool/info.json mempool/contents.json
		getutxos/checkmempool/ID POST:getutxos.json blockhashbyheight/7 blockfilter/basic/ID`},
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
	{"GoShimmer", "rest", "/", `info ratesetter scheduler metrics/global metrics/nodes drng/info/committee drng/info/randomness POST:drng/collectiveBeacon
		messages/ID messages/ID/metadata messages/ID/consensus messages/sequences/7 messages/sequences/7/markerindexbranchidmapping POST:messages/payload
		POST:message/findById POST:message/sendPayload blocks/ID blocks/ID/metadata blocks/sequences/7
		blocks/sequences/7/markerindexconflictidmapping POST:blocks/payload POST:data POST:chat POST:broadcastData POST:faucet POST:faucetrequest
		autopeering/neighbors manualpeering/peers POST:manualpeering/peers DELETE:manualpeering/peers snapshot`},
	{"GoShimmer ledgerstate", "rest", "/ledgerstate/", `addresses/ID addresses/ID/unspentOutputs POST:addresses/unspentOutputs branches/ID branches/ID/children
		branches/ID/conflicts branches/ID/voters branches/ID/sequenceids conflicts/ID conflicts/ID/children conflicts/ID/conflicts conflicts/ID/voters
		conflicts/ID/sequenceids outputs/ID outputs/ID/consumers outputs/ID/metadata transactions/ID transactions/ID/metadata
		transactions/ID/attachments POST:transactions`},
	{"GoShimmer value", "rest", "/value/", `attachments allowedManaPledge POST:unspentOutputs POST:sendTransaction POST:sendTransactionByJson
		POST:testSendTxn`},
	{"GoShimmer mana", "rest", "/", `mana mana/all mana/percentile mana/access/nhighest?number=5 mana/consensus/nhighest mana/access/online mana/consensus/online
		mana/pending mana/allowedManaPledge mana/delegated mana/delegated/outputs mana/consensus/past mana/consensus/logs mana/consensus/metadata
		weightprovider/activenodes weightprovider/activeissuers weightprovider/weights weightprovider/markers/1/2/voters weightprovider/markers/1/2/weight`},
	{"GoShimmer epochs", "rest", "/", `ec epochs epochs/7 epochs/time/current epochs/time/1600000000 epoch/7 epoch/7/utxos epoch/7/messages epoch/7/blocks
		epoch/7/transactions epoch/7/voters-weight epoch/7/pending-branches-count epoch/7/pending-conflict-count commitments/latest sc slots/7
		slots/commitment/ID slots/7/utxos slots/7/blocks slots/7/transactions`},
	{"GoShimmer tools", "rest", "/tools/", `message/pastcone message/missing message/missingavailable message/approval message/orphanage value/tips value/objects
		diagnostic/messages diagnostic/messages/firstweakreferences diagnostic/messages/rank/7 diagnostic/utxodag diagnostic/branches
		diagnostic/branches/lazybooked diagnostic/branches/invalid diagnostic/tips diagnostic/tips/strong diagnostic/tips/weak diagnostic/drng`},
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

// Two nodes have the paths /healthz and /spammer. Where every API is asked the
// older has them, and where only REST is, GoShimmer.
func TestPacksShared(t *testing.T) {
	for _, target := range []string{"/healthz", "/spammer?cmd=start"} {
		for api, want := range map[string]string{Auto: "iri", "iri": "iri", "rest": "rest"} {
			c := view(t, api).Classify(get("GET", target)).Command
			if c.API != want || c.Name == Other || c.Admin == c.Canary {
				t.Errorf("%s as %s: got %+v, want one of %s", target, api, *c, want)
			}
		}
	}
}

// GoShimmer's bodies are JSON without a key that names a command.
func TestPacksGoShimmerBodies(t *testing.T) {
	for _, tt := range []struct{ method, target, body, name, shape string }{
		{"POST", "/data", `{"data":"aGVsbG8=","maxEstimate":5000}`, "POST /data", "data(8) maxEstimate=5000"},
		{"POST", "/ledgerstate/addresses/unspentOutputs", `{"addresses":["a","b","c"]}`, "POST /ledgerstate/addresses/unspentOutputs", "addresses[3]"},
		{"POST", "/ledgerstate/transactions", `{"txn_bytes":"AAAA"}`, "POST /ledgerstate/transactions", "txn_bytes(4)"},
		{"GET", "/value/transactionByID?txnID=4uQeVj5t", "", "GET /value/transactionByID", "txnID(8)"},
		{"GET", "/mana", `{"nodeID":"2GtxMQD94KvDH1SJPJV7icxofkyV1njuUZKtsqKmtux5"}`, "GET /mana", "nodeID(44)"},
		{"GET", "/spammer?cmd=start&rate=100&unit=mps", "", "GET /spammer", "cmd(5) rate=100 other:1"},
		{"DELETE", "/manualpeering/peers", `[{"publicKey":"8qN1yD95fhbfDZtKX49RYFEXqej5fvsXJ2NPmF1LCqbd"}]`, "DELETE /manualpeering/peers", ""},
	} {
		r := get(tt.method, tt.target)
		r.Body, r.BodyBytes = []byte(tt.body), int64(len(tt.body))
		v := view(t, "rest").Classify(r)
		if v.Command.Name != tt.name || v.Shape.String() != tt.shape || v.Malformed {
			t.Errorf("%s %s: got %s %q, malformed %t; want %q", tt.method, tt.target, v.Command.Name, v.Shape.String(), v.Malformed, tt.shape)
		}
	}
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
		{"rest", "GET /info", 1 * s, 3 * s, "", true, false},
		{"rest", "POST /messages/payload", 60 * s, 300 * s, "", false, false},
		{"rest", "GET /snapshot", 60 * s, 300 * s, "", false, true},
		{"rest", "GET /tools/diagnostic/messages", 10 * s, 60 * s, "", false, false},
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

// TestPacksAreShallow: the embedded packs keep the bound that files are held
// to, and are the same Set however often they are asked for; a reload, which
// renumbers its Set, makes one of its own.
func TestPacksAreShallow(t *testing.T) {
	for _, src := range embedded() {
		if err := CheckText(src.Name, src.Data); err != nil {
			t.Error(err)
		}
	}
	loaded, err := Load()
	if err != nil || loaded != Default() {
		t.Errorf("Load() = %p, %v; want Default(), %p", loaded, err, Default())
	}
	again, err := Default().Reload()
	if err != nil || again == Default() || !again.Continues(Default()) || again.Commands()[0] == Default().Commands()[0] {
		t.Errorf("Default().Reload() = %p, %v; want a set of its own that continues it", again, err)
	}
}

// TestReadsAreNoAdmin: what public nodes offer to everybody raises no
// AdminCommand, though it shares a family with what changes the node.
func TestReadsAreNoAdmin(t *testing.T) {
	for _, tt := range []struct {
		name        string
		admin, slow bool
	}{
		{"debug_getRawBlock", false, false},
		{"debug_getRawReceipts", false, false},
		{"debug_getBadBlocks", false, false},
		{"debug_traceBadBlock", false, true},
		{"debug_dumpBlock", false, true},
		{"debug_traceCallMany", false, true},
		{"debug_freeOSMemory", true, true},
		{"debug_setHead", true, false},
		{"clique_getSigners", false, false},
		{"clique_propose", true, false},
		{"eth_signTypedData_v4", true, false},
		{"eth_getStorageValues", false, false},
	} {
		c := Default().Classify(post(`{"jsonrpc":"2.0","id":1,"method":"` + tt.name + `"}`)).Command
		if c.Name == Other || c.Admin != tt.admin || c.Slow != tt.slow {
			t.Errorf("%s is %s: admin %t, slow %t; want %t, %t", tt.name, c.Name, c.Admin, c.Slow, tt.admin, tt.slow)
		}
	}
}
