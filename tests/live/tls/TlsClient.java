// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

import java.io.*;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.cert.X509Certificate;
import java.util.*;
import javax.net.ssl.*;

/** Java's own TLS, which no probe sees. Arguments: see tls_clients.py; always one connection for each mail. */
public class TlsClient {
	static final X509TrustManager TRUSTS_ALL = new X509ExtendedTrustManager() {
		public void checkClientTrusted(X509Certificate[] chain, String type) { }
		public void checkServerTrusted(X509Certificate[] chain, String type) { }
		public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) { }
		public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) { }
		public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) { }
		public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) { }
		public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
	};

	final Socket plain;
	Socket socket;
	InputStream in;

	TlsClient(int port) throws IOException {
		plain = new Socket("127.0.0.1", port);
		use(plain);
	}

	void use(Socket socket) throws IOException {
		this.socket = socket;
		in = new BufferedInputStream(socket.getInputStream());
	}

	void encrypt() throws Exception {
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(null, new TrustManager[] { TRUSTS_ALL }, null);
		SSLSocket tls = (SSLSocket) context.getSocketFactory().createSocket(plain, "mail.test", plain.getPort(), true);
		SSLParameters parameters = tls.getSSLParameters();
		parameters.setServerNames(List.of(new SNIHostName("mail.test")));
		tls.setSSLParameters(parameters);
		tls.startHandshake();
		use(tls);
	}

	void reply() throws IOException {
		StringBuilder line = new StringBuilder();
		for (int one; (one = in.read()) != '\n'; line.append((char) one))
			if (one < 0)
				throw new EOFException("the server left");
		if (line.charAt(0) != '2' && line.charAt(0) != '3')
			throw new IOException(line.toString());
		if (line.charAt(3) == '-')
			reply();
	}

	void command(String text) throws IOException {
		socket.getOutputStream().write((text + "\r\n").getBytes(StandardCharsets.US_ASCII));
		reply();
	}

	public static void main(String[] arguments) throws Exception {
		String[] auth = Files.readString(Path.of(arguments[2])).trim().split("\\s+");
		String plain = "\0" + auth[0] + "\0" + auth[1], sender = arguments[4];
		for (String recipient : Arrays.copyOfRange(arguments, 5, arguments.length)) {
			TlsClient client = new TlsClient(Integer.parseInt(arguments[1]));
			if (arguments[0].equals("starttls")) {
				client.reply();
				client.command("EHLO client.test");
				client.command("STARTTLS");
				client.encrypt();
			} else {
				client.encrypt();
				client.reply();
			}
			client.command("EHLO client.test");
			client.command("AUTH PLAIN " + Base64.getEncoder().encodeToString(plain.getBytes(StandardCharsets.US_ASCII)));
			client.command("MAIL FROM:<" + sender + ">");
			client.command("RCPT TO:<" + recipient + ">");
			client.command("DATA");
			client.command("From: " + sender + "\r\nTo: " + recipient + "\r\nSubject: to " + recipient + "\r\n\r\nhello\r\n.");
			client.command("QUIT");
			client.socket.close();
		}
	}
}
